"""What a calibration routine is: a protocol whose result is kept, with its uncertainty, and judges itself.

    class Ramp(Routine):
        \"\"\"Power against set-point, from a photodetector.\"\"\"

        Parameters = RampParameters
        role = "source"                          # the device it is about
        roles = ("source", "power_tap")          # devices it cannot do without
        kinds = ("power_curve",)                 # what it finds: a device takes the kinds named in `drivers.contract`
        requires = ("power-meter",)              # routines it stands on; without theirs in force it does not begin
        valid_for = timedelta(days=7)

        def run(self, bench, parameters, record):
            bench.source.emission = True
            ...                                  # measure, and save raw data with record.save and step.save
            return {"set_point": x, "power_w": y, "power_error_w": dy, "again_w": again}

        def findings(self, results, parameters, record):
            ...                                  # the light is off: fit, draw into record.picture("residuals")
            return [
                Finding(
                    kind="power_curve",
                    values={
                        "set_point": Measured(x, "1"),
                        "emitted_w": Measured(fit, "W", error),
                    },
                    conditions={"wavelength": Measured(600e-9, "m")},
                    checks=(Check(name="residual", value=rms, unit="W", high=1e-4),),
                )
            ]

Registered under ``labctl.calibrations``, `labctl calibrate ramp --bench FILE` runs it. `run` raises CalibrationError
that names the likely cause when the light contradicts what it must be (dark, saturated, mirrored). It sees the bench as
any protocol does; calibrations in force that are stale are left out, and those of ``requires`` are there and hold:
``bench.calibration("slm-camera")["matrix"]``. A finding's values are named as the fields of the device's value
(`drivers.correction`: ``Dark``, ``PhaseTable``) where a device takes that kind; more values than it needs do no harm.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from drivers.errors import CalibrationError, ConfigurationError
from labctl import registry
from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig
from labctl.experiments.experiment import Protocol
from labctl.experiments.recorder import Recorder
from labctl.store.calibration import Calibration, Check, Condition, Measured


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a routine found: it becomes one calibration.

    kind: one of the routine's ``kinds``. values: by name, with unit and standard uncertainty. conditions: numbers
    under which it was measured. checks: how the routine judged it; one that fails is a CalibrationError, and nothing
    is kept. holds_while: settings of devices outside of which it does not hold. role: the device it is about, if not
    the routine's. devices: other devices it holds for; if one of them is replaced it is foreign. Not those it was
    merely measured with, which are in the run file.
    """

    kind: str
    values: Mapping[str, Measured]
    conditions: Mapping[str, Measured] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    holds_while: tuple[Condition, ...] = ()
    role: str = ""
    devices: tuple[str, ...] = ()


class Routine(Protocol):
    """A calibration routine; see the module's example."""

    role: ClassVar[str]
    """The device it is about."""
    kinds: ClassVar[tuple[str, ...]]
    """What it finds, every time: ``KIND``, or ``ROLE.KIND`` where it is about another device."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Names of the routines it stands on."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Names of routines that it gains by, but works without: of all, it comes after those that a bench needs."""
    valid_for: ClassVar[timedelta | None] = timedelta(days=30)
    """After so long it must be measured again; None for never."""

    kept_by_run: ClassVar[bool] = False
    """Whether `labctl run`, too, keeps what it finds: of protocols that are told of as experiments."""

    found: tuple[Finding, ...] = ()
    """After the run."""

    calibrating: ClassVar[bool] = True

    @abstractmethod
    def findings(self, results: dict[str, Any], parameters: Any, record: Recorder) -> Sequence[Finding]:
        """What follows from what `run` returned, when the light is off: one finding per kind."""

    def check(
        self, bench: Bench, parameters: Any, in_force: Mapping[str, Calibration], record: Recorder
    ) -> Mapping[str, tuple[Check, ...]]:
        """Whether what it found still holds: numbers measured within seconds, judged by what the calibration says.

        in_force: those of its calibrations that are in force, as in ``kinds``. Returns checks under the same names; one
        whose check fails is flagged as drifted, the others stay valid. A bound is three standard uncertainties of the
        difference and what is allowed besides, so that nothing is flagged where nothing moved. Raises CalibrationError
        where the light does not let it be told. Optional: a routine without one is not checked.
        """
        raise NotImplementedError

    @classmethod
    def checkable(cls) -> bool:
        """Whether it has a check."""
        return cls.check is not Routine.check

    @classmethod
    def places(cls) -> tuple[tuple[str, str], ...]:
        """Role and kind of everything it finds."""
        split = (kind.rpartition(".") for kind in cls.kinds)
        return tuple((role or cls.role, kind) for role, _, kind in split)

    @classmethod
    def suits(cls, config: BenchConfig) -> bool:
        """Whether a bench needs it: it has the devices and the alignments."""
        roles = {cls.role, *cls.roles}
        return roles <= config.devices.keys() and set(cls.alignments) <= config.alignment.keys()

    def needs(self) -> tuple[str, ...]:
        """Calibrations that must be in force and hold: its own list, and what the routines before it find."""
        before = [f"{role}.{kind}" for name in self.requires for role, kind in routine(name).places()]
        return (*self.calibrations, *before)

    def conclude(self, results: dict[str, Any], parameters: Any, record: Recorder) -> dict[str, Any]:
        """The findings as numbers. Raises CalibrationError if a check failed."""
        found = tuple(self.findings(results, parameters, record))
        told = [(f.role or self.role, f.kind) for f in found]
        if sorted(told) != sorted(self.places()):
            raise ConfigurationError(
                f"{type(self).__name__} found {_words(told)}, and declares {_words(self.places())}; correct the routine"
            )
        failed = [f"{f.kind}: {check}" for f in found for check in f.checks if not check.passed]
        if failed:
            raise CalibrationError(
                f"the result does not hold against the routine's own checks: {'; '.join(failed)}. Nothing was kept; "
                "look at the pictures of the run, and measure again"
            )
        self.found = found
        return {f.kind: summary(f.values) | {"checks": {c.name: c.value for c in f.checks}} for f in found}


def routine(name: str) -> type[Routine]:
    """The registered routine ``name``. ConfigurationError if there is none."""
    found = registry.load("labctl.calibrations", name)
    if not (isinstance(found, type) and issubclass(found, Routine)):
        raise ConfigurationError(f"{name} is registered under labctl.calibrations, but is no Routine")
    return found


def summary(values: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """Numbers as they are, arrays by their shape and the mean of what is defined in them: what is printed."""
    told: dict[str, dict[str, Any]] = {}
    for name, m in values.items():
        error = None if m.uncertainty is None else float(m.uncertainty.mean())
        if m.value.size == 1 and m.value.dtype.kind != "c":
            told[name] = {"value": m.number, "uncertainty": error, "unit": m.unit}
        else:
            every = abs(m.value) if m.value.dtype.kind == "c" else m.value.astype(np.float64)
            defined = every[~np.isnan(every)]
            mean = float(defined.mean()) if defined.size else None
            told[name] = {"shape": list(m.value.shape), "mean": mean, "mean_uncertainty": error, "unit": m.unit}
    return told


def _words(places: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{role}.{kind}" for role, kind in places) or "nothing"
