"""What calibration is worth: local fields on a table nobody has measured, and after ``labctl calibrate --all``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.prbm_reference import Reference
from labctl.client import Bench, CalibrationError, DeviceError, Figure, Recorder, calibrate_on
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.light.layers import Layers, rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import Agreement
from protocols.prbm.light.table import TABLE_ROLES, Table, table_on
from simulators.physics.rbm import local_fields


class CalibrationEffectParameters(ReadoutParameters):
    """What is measured, and where calibrations are kept."""

    N: int = Field(196, ge=1, le=958, description="spins of each layer")
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings")
    case_seed: int = Field(0, ge=0, description="which random couplings and spins")
    averages: int = Field(4, ge=1, le=1000, description="of each layer, in a mapped order")
    store: Path | None = Field(None, description="folder of the calibrations; null is a new one, in a temporary place")


class CalibrationEffect(Figure):
    """Local fields before and after all calibrations (Eq. 2 of arXiv 2508.20472 on a table with hidden imperfections).

    Values: r_before, r_after, slope_after, rms_after (units of L), and the same of before; routines: what became of
    each. r_before is of raw contrasts where the table gives no unit by which fields could be told.
    """

    Parameters = CalibrationEffectParameters
    bench = "prbm-lab"
    roles = TABLE_ROLES
    alignments = ("prbm",)
    takes_control = True
    _folder: Path | None = None

    def bench_overrides(self, parameters: CalibrationEffectParameters) -> Mapping[str, object]:
        """A store of its own: what is in force elsewhere would spoil the comparison."""
        if self._folder is None:
            self._folder = parameters.store or Path(tempfile.mkdtemp(prefix="labctl-calibration-effect-"))
        return {"calibrations.folder": str(self._folder)}

    def targets(self, parameters: CalibrationEffectParameters) -> dict[str, dict[str, float]] | None:
        """The promise for the paper's size."""
        p = parameters
        if (p.N, p.sd, p.flips, p.readout) != (196, 0.1, "hadamard", "camera"):
            return None
        return {
            "r_before": {"max": 0.95},
            "r_after": {"min": 0.998},
            "slope_after": {"min": 0.98, "max": 1.02},
            "rms_after": {"max": 0.08},
        }

    def run(self, bench: Bench, parameters: CalibrationEffectParameters, record: Recorder) -> dict[str, Any]:
        """Measure, calibrate, measure."""
        p = parameters
        if bench.calibrations().in_force:
            raise CalibrationError(
                f"calibrations are in force in {p.store}: there is no before; give a store that is empty, or none"
            )
        case = Case.random(p.N, p.sd, bench.slm.levels or None, p.case_seed)
        exact = local_fields(case.rbm.weights, case.v, case.rbm.hidden_bias)
        with bench.control():
            layers = rbm_layers(case.rbm)
            before, why = _before(bench, layers, case.v, p)
        record.console.done(f"before any calibration: r = {_agreement(exact, before).r:.4f}")
        states = {}
        for result in calibrate_on(bench, seed=record.seed, out=record.directory, console=record.console):
            states[result.name] = result.state
            record.console.done(f"{result.name}: {result.state} {result.why}")
            if result.state in ("failed", "waiting"):
                raise CalibrationError(f"{result.name} {result.state}: {result.why}")
        with bench.control():
            table: Any = table_on(bench, layers, p)
            measured = table.measure(table.encode(layers["hidden"]), case.v)
        after = _agreement(exact, measured.fields)
        return {
            "exact": exact,
            "before": before,
            "after": measured.fields,
            "why_before": why,
            "routines": states,
            "r_before": _agreement(exact, before).r,
            "slope_before": _agreement(exact, before).slope,
            "r_after": after.r,
            "slope_after": after.slope,
            "rms_after": after.rms,
            "sigma_predicted": float(np.sqrt((measured.predicted_noise**2).mean())),
            "exposure_s": measured.exposure_s,
        }

    def conclude(
        self, results: dict[str, Any], parameters: CalibrationEffectParameters, record: Recorder
    ) -> dict[str, Any]:
        """Draw."""
        _draw(record.picture("fields"), results)
        record.console.done(
            f"r = {results['r_before']:.4f} before, {results['r_after']:.5f} after; slope {results['slope_after']:.4f}"
            f", rms error {results['rms_after']:.3g}"
        )
        record.console.say(f"picture: {record.picture('fields')}")
        return results


class _Unjudged(Table):
    """A table whose light is taken as it comes: nothing is known of it, so nothing can be checked."""

    def _measure_reference(self, n_inputs: int, outputs: int) -> Reference:
        try:
            return super()._measure_reference(n_inputs, outputs)
        except CalibrationError:
            self._start_exposure_s = self._exposure_now_s
            return Reference(1.0, 0.0, 0.0, 0.0)

    def _check_light(self, total: float, contrasts: NDArray[np.float64], noise: float) -> None:
        pass


def _before(
    bench: Bench, layers: Layers, v: NDArray[np.int8], p: CalibrationEffectParameters
) -> tuple[NDArray[np.float64], str]:
    """Fields as the plan of the table gives them, and what the protocol itself would have said of it."""
    why = ""
    try:
        table = Table(bench, layers, p)
    except (CalibrationError, DeviceError) as error:
        why, table = str(error), _Unjudged(bench, layers, p)
    encoding = table.encode(layers["hidden"])
    try:
        return table.measure(encoding, v).fields, why
    except DeviceError as error:
        return _Unjudged(bench, layers, p).measure(encoding, v).fields, why or str(error)


def _agreement(exact: NDArray[np.float64], measured: NDArray[np.float64]) -> Agreement:
    agreement = Agreement()
    agreement.add(exact, measured)
    return agreement


def _draw(path: Path, r: dict[str, Any]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(8, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(r["exact"], r["before"], ".", markersize=4)
        left.set(xlabel="exact local field L", ylabel="measured by light, as the plan has it", title="before")
        left.text(0.03, 0.95, f"r = {r['r_before']:.4f}", transform=left.transAxes, va="top")
        span = [r["exact"].min(), r["exact"].max()]
        right.plot(span, span, color="0.6", linewidth=1)
        right.plot(r["exact"], r["after"], ".", markersize=4)
        right.set(xlabel="exact local field L", ylabel="measured by light", title="after labctl calibrate --all")
        words = f"r = {r['r_after']:.5f}\nslope = {r['slope_after']:.4f}\nrms error {r['rms_after']:.3g}"
        right.text(0.03, 0.95, words, transform=right.transAxes, va="top")
        figure.savefig(path, dpi=120)
