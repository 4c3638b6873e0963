"""`prbm.noise`: quality of local fields against exposure, window, gray levels, wavefront and the flips' coding.

The table is made worse on purpose: patterns are rounded to fewer gray levels, a parabola of phase is added to them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, Figure, Parameters, Recorder, Sequence, SequenceResult
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.assess.prediction import Lens, defocus, level_noise, shot_noise, visibility, window_error
from protocols.prbm.light.layers import Layers, rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import Agreement
from protocols.prbm.light.table import PIXELS_PER_SPIN, TABLE_ROLES, Table
from simulators.physics.rbm import local_fields

STUDY: dict[str, tuple[float, ...]] = {
    "fill": (0.03, 0.1, 0.3, 0.72),
    "slit": (1, 5, 15, 31, 61),
    "averages": (1, 4, 16),
    "slit_width": (1, 3, 5),
    "levels": (8, 16, 32, 64, 128, 256),
    "defocus_rad": (0.0, 0.1, 0.2, 0.4, 0.8),
}
_BOTH_CODES = ("fill", "slit", "averages")


class NoiseParameters(Parameters):
    """Which layer is measured, and how often in each setting."""

    N: int = Field(196, ge=2, le=900, description="spins of each layer")
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings")
    repeats: int = Field(4, ge=1, le=1000, description="measurements in each setting, each of other spins")
    vary: tuple[Literal["fill", "slit", "averages", "slit_width", "levels", "defocus_rad"], ...] = Field(
        tuple(STUDY),  # type: ignore[arg-type]
        description="what is varied, comma-separated",
    )


class DegradedTable(Table):
    """A table whose patterns are made worse: levels that phases are rounded to, rms of a parabola added to them."""

    def __init__(
        self, bench: Bench, layers: Layers, p: ReadoutParameters, levels: int | None = None, defocus_rad: float = 0.0
    ) -> None:
        self._levels, self._defocus_rad = levels, defocus_rad
        super().__init__(bench, layers, p)

    def _gray_step(self) -> float:
        return 2 * math.pi / self._levels if self._levels else super()._gray_step()

    def _sequencer_play(self, sequence: Sequence) -> SequenceResult:
        strip = self._strip
        wavefront = np.zeros(int(self._bench.slm.columns))
        wavefront[strip.first_column : strip.first_column + strip.columns] = np.repeat(
            defocus(strip.macro_pixels, self._defocus_rad), strip.pixels_per_spin
        )

        def worse(phases: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float64]:
            turned = phases + wavefront[columns]
            if self._levels is None:
                return np.asarray(turned)
            step = 2 * math.pi / self._levels
            return np.asarray(np.round(turned / step) * step)

        base, patches = np.asarray(sequence.base), np.asarray(sequence.patches)
        across = np.arange(patches.shape[2])
        return super()._sequencer_play(
            Sequence(
                base=worse(base, sequence.base_origin[1] + np.arange(base.shape[1])),
                base_origin=sequence.base_origin,
                patches=worse(patches, np.asarray(sequence.patch_origins)[:, 1, None, None] + across),
                patch_origins=sequence.patch_origins,
                offsets=sequence.offsets,
                indices=sequence.indices,
            )
        )


class Noise(Figure):
    """Measured and predicted rms error of local fields, by setting.

    Values: `rows`, each with `varied`, `value`, `flips`, `rms` (units of L), `rms_predicted`, `r`, `bench_s` (time on
    the table for one measurement of the layer); `L_rms`; `ratio`, the geometric mean of measured over predicted, and
    `ratio_spread`, the largest factor between them.
    """

    Parameters = NoiseParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def targets(self, parameters: NoiseParameters) -> dict[str, dict[str, float]] | None:
        """What is predicted is what is measured."""
        if parameters != NoiseParameters():
            return None
        return {"ratio": {"min": 0.9, "max": 1.15}, "ratio_spread": {"max": 1.6}}

    def run(self, bench: Bench, parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Measure every setting."""
        p = parameters
        case = Case.random(p.N, p.sd, bench.slm.levels or None, 0)
        layers = rbm_layers(case.rbm)
        settings = _settings(p)
        for step in record.steps(len(settings), "measuring settings"):
            varied, value, flips = settings[step.index]
            row = _measured(bench, case, layers, varied, value, flips, p.repeats, record.rng)
            step.save(**row)
            step.note(f"{varied} = {value:g}, {flips}: rms {row['rms']:.3g}")
            record.checkpoint()
        return {"L_rms": p.sd * math.sqrt(p.N)}

    def conclude(self, results: dict[str, Any], parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Compare and draw."""
        measured = {name: record.series(name) for name in ("rms", "rms_predicted", "r", "bench_s", "exposure_s")}
        rows: list[dict[str, Any]] = [
            {"varied": varied, "value": value, "flips": flips}
            | {name: float(series[k]) for name, series in measured.items() if series is not None}
            for k, (varied, value, flips) in enumerate(_settings(parameters))
        ]
        logs = np.log([row["rms"] / row["rms_predicted"] for row in rows])
        picture = record.picture("noise")
        _draw(picture, rows, parameters, results["L_rms"])
        ratio, spread = float(np.exp(logs.mean())), float(np.exp(np.abs(logs).max()))
        record.console.done(f"measured / predicted rms error: {ratio:.3f} in the mean, up to a factor of {spread:.2f}")
        record.console.say(f"picture: {picture}")
        return {"rows": rows, **results, "ratio": ratio, "ratio_spread": spread}


def _settings(p: NoiseParameters) -> list[tuple[str, float, str]]:
    return [
        (varied, value, flips)
        for varied in p.vary
        for value in STUDY[varied]
        for flips in (("single", "hadamard") if varied in _BOTH_CODES else ("hadamard",))
    ]


def _measured(
    bench: Bench,
    case: Case,
    layers: Layers,
    varied: str,
    value: float,
    flips: str,
    repeats: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    changes: dict[str, Any] = {"flips": flips, "reference_repeats": 100}
    levels: int | None = None
    blur = 0.0
    if varied == "levels":
        levels = int(value)
    elif varied == "defocus_rad":
        blur = value
    else:
        changes[varied] = value if varied == "fill" else int(value)
    p = ReadoutParameters.model_validate(changes)
    table = DegradedTable(bench, layers, p, levels, blur)
    layer = layers["hidden"]
    encoding = table.encode(layer)
    agreement = Agreement()
    table.measure(encoding, case.v)  # the exposure settles
    begun_s = bench.time_s()
    for _ in range(repeats):
        v = rng.choice(np.array([-1, 1], np.int8), layer.n_inputs)
        measured = table.measure(encoding, v)
        exact = local_fields(case.rbm.weights, v, case.rbm.hidden_bias)
        agreement.add(exact, measured.fields)
    bench_s = (bench.time_s() - begun_s) / repeats
    couplings = case.rbm.weights / encoding.scale
    seen = visibility(layer.n_inputs, p.pixels_per_spin or PIXELS_PER_SPIN, p.output_at, p.slit_width, Lens(), blur)
    steps = levels or int(bench.slm.levels) or None
    alignment: Any = bench.alignment("prbm")
    c_rms = float(np.sqrt((couplings**2).sum(axis=0).mean()))
    shot = shot_noise(flips, layer.n_outputs, alignment.bands, c_rms, measured.electrons) / math.sqrt(p.averages)
    unit = c_rms * table.reference.unit_error / table.reference.unit
    errors = (shot, level_noise(couplings, steps) / math.sqrt(p.averages), window_error(couplings, seen), unit)
    return {
        "rms": agreement.rms,
        "rms_predicted": encoding.scale * math.sqrt(sum(e**2 for e in errors)),
        "r": agreement.r,
        "bench_s": bench_s,
        "exposure_s": measured.exposure_s,
    }


_AXES = {
    "fill": "fill of the camera's well (exposure)",
    "slit": "slit along the dispersion (camera rows)",
    "averages": "measurements averaged",
    "slit_width": "slit across (camera columns)",
    "levels": "gray levels of the panel",
    "defocus_rad": "wavefront error along the strip (rad rms)",
}


def _draw(path: Path, rows: list[dict[str, Any]], p: NoiseParameters, l_rms: float) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.size": 9}):
        columns = min(3, len(p.vary))
        lines = math.ceil(len(p.vary) / columns)
        figure = Canvas(figsize=(3.7 * columns, 3.1 * lines + 0.4), layout="constrained")
        axes = np.atleast_1d(figure.subplots(lines, columns, sharey=True)).ravel()
        for ax, varied in zip(axes, p.vary, strict=False):
            for flips, colour in (("single", "C1"), ("hadamard", "C0")):
                chosen = [r for r in rows if r["varied"] == varied and r["flips"] == flips]
                if not chosen:
                    continue
                x = [r["value"] for r in chosen]
                ax.plot(x, [r["rms_predicted"] for r in chosen], color=colour, linewidth=1)
                time_s = float(np.median([r["bench_s"] for r in chosen]))
                label = f"{flips}, {time_s:.0f} s" if varied != "averages" else f"{flips}, {time_s / x[1]:.0f} s each"
                ax.plot(x, [r["rms"] for r in chosen], "o", color=colour, markersize=4, label=label)
            ax.set(xlabel=_AXES[varied], yscale="log")
            if varied not in ("defocus_rad", "slit_width"):
                ax.set_xscale("log")
                values = list(STUDY[varied])
                ax.set_xticks(values, [f"{v:g}" for v in values], minor=False)
                ax.minorticks_off()
            ax.axhline(0.1, color="0.7", linewidth=0.8, linestyle=":")
            ax.legend(frameon=False, fontsize=7.5, title="flips, time on the table" if varied == "fill" else None)
        for ax in axes[::columns]:
            ax.set_ylabel("rms error of L")
        for ax in axes[len(p.vary) :]:
            ax.set_axis_off()
        figure.suptitle(
            f"Local fields of {p.N} spins (L = {l_rms:.2g} rms) by light: dots measured, lines predicted; "
            "other settings by default",
            fontsize=9.5,
        )
        figure.savefig(path, dpi=120)
