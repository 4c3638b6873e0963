"""What experiments with Langevin computers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.client import ConfigurationError, Figure, Recorder
from simulators.physics.langevin.potential import LangevinError


class LangevinFigure(Figure):
    """By arithmetic (loop=ideal) the bench's devices are left alone."""

    bench = "langevin-sim"
    takes_control = True  # would be taken by `run` itself, where devices are used


@contextmanager
def told_as_configuration() -> Iterator[None]:
    """Computers that cannot be are the parameters' fault."""
    try:
        yield
    except LangevinError as error:
        raise ConfigurationError(str(error)) from None


def with_picture(record: Recorder, name: str, draw: Callable[[Path], None]) -> None:
    """Draw and tell where, unless nobody wants to see it: the points of a sweep have values only."""
    if record.wants_pictures:
        picture = record.picture(name)
        draw(picture)
        record.console.say(f"picture: {picture}")
