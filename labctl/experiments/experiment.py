"""What a protocol and a figure are. Both measure on a bench; a figure also knows what was published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from labctl.bench.client import Bench
from labctl.experiments.recorder import Recorder


class Parameters(BaseModel):
    """Base of an experiment's parameters: what ``--set KEY=VALUE`` may set."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, given: Any) -> Any:
        """A list of any length may be given as one value, or as text with commas."""
        if not isinstance(given, Mapping):
            return given
        return {key: _listed(value) if _is_list(cls, key) else value for key, value in given.items()}


def _is_list(model: type[BaseModel], key: str) -> bool:
    field = model.model_fields.get(key)
    return field is not None and get_origin(field.annotation) is tuple and get_args(field.annotation)[-1] is Ellipsis


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(value.split(","))
    return (value,) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class Protocol(ABC):
    """A measurement-feedback loop, registered under ``labctl.protocols``.

    An object lives for one run: `prepare`, then `run` with control of the bench, then `conclude` with the light off.

    One that takes long calls ``record.checkpoint(...)`` after a step. Where ``record.resumed``, the state given there,
    is not None, it begins with that; ``record.steps`` then goes on with the step after it, ``record.series(NAME)`` has
    what steps saved before, and ``record.saved(NAME)`` arrays, such as a trained model.
    """

    Parameters: ClassVar[type[Parameters]] = Parameters
    bench: ClassVar[str] = "prbm-sim"
    """The bench it runs on unless another is named."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Devices it cannot do without."""
    alignments: ClassVar[tuple[str, ...]] = ()
    """``[alignment.NAME]`` tables it cannot do without."""
    calibrations: ClassVar[tuple[str, ...]] = ()
    """Calibrations it cannot do without: ``KIND``, or ``ROLE.KIND`` where several devices may have one. They are in
    force, not stale and of these devices before it begins; ``bench.calibration(KIND)`` gives their values."""

    takes_control: ClassVar[bool] = False
    """Whether `run` takes control of the bench by itself, as often as it needs: what calibrates in between does, since
    calibrations act from the beginning of a session on."""

    keeps_table: bool = False
    """Whether its checkpoints have all that it knows of the table beside what set-up tells, such as the exposure that
    it set last: then a simulated table is kept with them, and a resumed run measures on it bit for bit what one that
    was never stopped would have measured."""

    recovers_frames: ClassVar[bool] = False
    """Whether it deals with lost frames by itself, and tells of them by `Bench.recovered`: then the bench does not ask
    for them again."""

    calibrating: ClassVar[bool] = False
    """Whether calibrations that would be refused are left out in its session, since they are measured anew there."""

    overrides_cure: ClassVar[str] = ""
    """What to choose on benches that have nothing of what `bench_overrides` changes."""

    def bench_overrides(self, parameters: Any) -> Mapping[str, object]:
        """Changes of the bench file that the parameters ask for, such as an ideal world."""
        return {}

    def needs(self) -> tuple[str, ...]:
        """Calibrations that must hold before it begins."""
        return self.calibrations

    def prepare(self, parameters: Any, record: Recorder) -> None:  # noqa: B027 - many need nothing
        """What can be done before the light is on: read files, train. What it makes is kept in ``self``."""

    @abstractmethod
    def run(self, bench: Bench, parameters: Any, record: Recorder) -> dict[str, Any]:
        """Measure, save each step in ``record``, and return the results (numbers, text, lists, arrays).

        The lease must be renewed all the while: every call to the bench does, long arithmetic does not.
        """

    def conclude(self, results: dict[str, Any], parameters: Any, record: Recorder) -> dict[str, Any]:
        """What follows from the results when the light is off: judge, draw. Returns the final values."""
        return results


class Figure(Protocol):
    """A named, reproducible result, registered under ``labctl.figures``."""

    def targets(self, parameters: Any) -> dict[str, dict[str, float]] | None:
        """Published or promised bounds, ``{"rms": {"max": 0.1}}``; None away from the published parameters."""
        return None


def meets(values: Mapping[str, Any], targets: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether every value named in the targets lies within its bounds ("min", "max"); a missing one does not."""
    for name, bounds in targets.items():
        value = values.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        if not bounds.get("min", float("-inf")) <= value <= bounds.get("max", float("inf")):
            return False
    return True
