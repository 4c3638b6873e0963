"""What all figures of the equation have in common: their parameters, and that they need no light."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labctl.client import ConfigurationError, Figure, Parameters, Recorder
from simulators.physics.condensates.asymmetric_dyads import asymmetric_state
from simulators.physics.condensates.dyads import NoSuchState, pitchfork_bound, symmetric_state


def _fraction(value: object) -> object:
    """5/3 may be given as it stands in the paper."""
    if isinstance(value, str) and value.count("/") == 1:
        above, below = value.split("/")
        try:
            return float(above) / float(below)
        except (ValueError, ZeroDivisionError):
            return value
    return value


Number = Annotated[float, BeforeValidator(_fraction), Field(allow_inf_nan=False)]
Coupling = Annotated[Number, Field(gt=-1, lt=1)]
Positive = Annotated[Number, Field(gt=0)]


class DyadParameters(Parameters):
    """Of Eq. (1), as in Fig. 1c and d."""

    J: Coupling = Field(0.55, description="coupling of the two condensates, -1 < J < 1 and not 0")
    gamma: Positive = Field(2.8, description="pumping")
    g: Number = Field(0.5, description="detuning (blueshift)")
    xi: Positive = Field(5 / 3, description="relative nonlinearity, such as 5/3")


class EquationFigure(Figure):
    """Measures nothing: the bench is opened as for all figures, and its devices are left alone."""

    bench = "dyad-sim"
    takes_control = True  # would be taken by `run` itself, where devices are used


@contextmanager
def told_as_configuration() -> Iterator[None]:
    """States that do not exist are the parameters' fault."""
    try:
        yield
    except NoSuchState as error:
        raise ConfigurationError(str(error)) from None


def stationary(p: Any) -> bool:
    """Whether dyads of these parameters come to rest in an asymmetric state.

    Raises ConfigurationError where they do not become asymmetric at all.
    """
    with told_as_configuration():
        symmetric_state(p.gamma, p.g, p.xi, p.J)
    bound = float(pitchfork_bound(p.gamma, p.g, p.J))
    if bound <= 0:
        raise ConfigurationError(
            f"g = {p.g:g}: dyads become asymmetric by a detuning g > 0 only, and have no orientation without; choose a "
            "positive g"
        )
    if p.xi >= bound:
        raise ConfigurationError(
            f"xi = {p.xi:g} is not below xi_c = {bound:.6g} of (g, J, gamma) = ({p.g:g}, {p.J:g}, {p.gamma:g}): dyads "
            "stay symmetric and have no orientation; choose a smaller xi (dyad.phase-diagram shows the bound)"
        )
    try:
        return asymmetric_state(p.gamma, p.g, p.xi, p.J).stable
    except NoSuchState:
        return False


def time_step(gamma: float, g: float, xi: float, J: float, longest: float = 0.1, phase: float = 0.65) -> float:
    """A step in which the phase turns by less than ``phase``, for Runge-Kutta steps of fourth order.

    0.1 decides orientations at the paper's parameters; weaker saturation makes denser condensates, which turn faster.
    """
    density = (gamma + abs(J) - 1) / ((1 - abs(J)) * xi)
    return min(longest, phase / (abs(g) + density + gamma))


def with_picture(record: Recorder, name: str, draw: Callable[[Path], None]) -> None:
    """Draw and tell where, unless nobody wants to see it: the points of a sweep have values only."""
    if record.wants_pictures:
        picture = record.picture(name)
        draw(picture)
        record.console.say(f"picture: {picture}")


def one_or_all(values: Sequence[Any]) -> Any:
    """The only one of a list, or the list."""
    return values[0] if len(values) == 1 else list(values)


def share_error(count: int, trials: int) -> float:
    """Standard error of a share; not 0 where all trials ended alike."""
    p = (count + 0.5) / (trials + 1)
    return math.sqrt(p * (1 - p) / trials)
