"""`prbm.readout`: the same local fields by a camera and by a slit with one photodiode behind it.

The camera's frames are only ever summed over a slit at the zeroth order. A single detector behind a real slit there
gives that sum at once, without pixels, wells or frames (arXiv 2508.20472, Discussion: "only a single pixel
photodetector"). Both are read on one bench in one run, in turn, for the same spins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, Figure, Parameters, Reading, Recorder
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.assess.readout_picture import draw
from protocols.prbm.assess.slit_detector import slit_detector
from protocols.prbm.assess.two_readouts import Comparison, compare, scatter
from protocols.prbm.light.encoding import LayerEncoding
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import Measurement, ReadoutParameters, ideal_table
from protocols.prbm.light.sampling import Agreement
from protocols.prbm.light.table import TABLE_ROLES, Table, table_on

FALSE_ALARM = 1e-4
"""Of the targets on agreement: a bench on which nothing is wrong misses them as often."""

_SETTLING = 2
_Kind = Literal["camera", "photodetector"]


class ReadoutFigureParameters(Parameters):
    """What is measured, how often and by what."""

    N: int = Field(196, ge=3, le=900, description="spins of each layer")
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings")
    case_seed: int = Field(0, ge=0, description="which random couplings and spins")
    repeats: int = Field(20, ge=2, le=10000, description="measurements by each readout")
    flips: Literal["single", "hadamard"] = Field("hadamard", description="one output spin at a time, or half of them")
    noise: Literal["on", "off"] = Field("on", description="off: the ideal table of the equations")
    readout: Literal["both", "camera", "photodetector"] = Field("both", description="which is used")
    reference_repeats: int = Field(100, ge=2, le=1000, description="of the patterns that give each readout its unit")

    @property
    def kinds(self) -> tuple[_Kind, ...]:
        """Readouts in use."""
        return ("camera", "photodetector") if self.readout == "both" else (self.readout,)

    def of(self, kind: _Kind) -> ReadoutParameters:
        """How one of them is used."""
        p = ReadoutParameters(flips=self.flips, readout=kind, reference_repeats=self.reference_repeats)
        return p.on_ideal_table(self.N) if self.noise == "off" else p


class Readout(Figure):
    """Local fields of one layer (Eq. 2) by camera and by slit detector, against exact ones and each other.

    Values, for each readout with its name: `L_*` (means over the repeats), `r_*`, `slope_*` and `rms_*` against exact
    (single measurements), `sigma_measured_*` (scatter of one measurement, over the repeats), `sigma_predicted_*` (by
    shot noise and noise in the dark), `sigma_ratio_*` of the two, `electrons_*` (mean pattern; of the detector what its
    stated noise amounts to), `exposure_s_*` (integration time of the detector), `bench_s_*` (time on the table for a
    half sweep). Between them: `r`, `slope` with `slope_deviation` (in standard errors), `difference_rms` of the mean
    fields and `difference_expected` by noise and units, `agreement_p` (how often noise makes them differ as much). What
    a bench cannot tell is null.
    """

    Parameters = ReadoutFigureParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: ReadoutFigureParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return ideal_table() if parameters.noise == "off" else {}

    def targets(self, parameters: ReadoutFigureParameters) -> dict[str, dict[str, float]] | None:
        """Agreement within noise, and noise as predicted; together they fail a right table about once in 10^4 runs.

        Half of that falls to the fields and half to the slope, 4.06 of its standard errors. The scatter is known to
        1.2 % by its repeats: 8 % are more than six of that.
        """
        if parameters != ReadoutFigureParameters():
            return None
        return {
            "agreement_p": {"min": FALSE_ALARM / 2},
            "slope_deviation": {"max": 4.06},
            "difference_rms": {"max": 0.05},
            "sigma_ratio_camera": {"min": 0.92, "max": 1.08},
            "sigma_ratio_photodetector": {"min": 0.92, "max": 1.08},
        }

    def run(self, bench: Bench, parameters: ReadoutFigureParameters, record: Recorder) -> dict[str, Any]:
        """Measure by each readout in turn, as often as asked for."""
        p = parameters
        detector: Any = slit_detector(bench) if "photodetector" in p.kinds else None
        case = Case.random(p.N, p.sd, None, p.case_seed)
        layers = rbm_layers(case.rbm)
        layer = layers["hidden"]
        exact = layer.local_fields(case.v)
        sets = {}
        dark: Reading | None = None
        for kind in p.kinds:
            table: Any = table_on(bench, layers, p.of(kind))
            sets[kind] = table, table.encode(layer)
            if kind == "photodetector":
                dark = detector.measure()  # the last reference pattern is dark
        taken: dict[_Kind, list[Measurement]] = {kind: [] for kind in p.kinds}
        seconds: dict[_Kind, list[float]] = {kind: [] for kind in p.kinds}
        bright: Reading | None = None
        # Exposures settle in the first rounds, which are not counted.
        for step in record.steps(p.repeats + _SETTLING, "measuring local fields"):
            for kind, (table, encoding) in sets.items():
                begun_s = bench.time_s()
                taken[kind].append(table.measure(encoding, case.v))
                seconds[kind].append(bench.time_s() - begun_s)
            if detector is not None and bright is None:
                bright = detector.measure()
            step.save(**{f"fields_{kind}": taken[kind][-1].fields for kind in p.kinds})
        values: dict[str, Any] = {"L_exact": exact}
        fields: dict[_Kind, NDArray[np.float64]] = {}
        for kind, (table, encoding) in sets.items():
            kept = taken[kind][_SETTLING:]
            fields[kind] = np.array([m.fields for m in kept])
            found = _of_one(kept, exact)
            found["bench_s"] = float(np.mean(seconds[kind][_SETTLING:]))
            if kind == "camera":
                noise = [float((m.predicted_noise**2).mean()) for m in kept]
                found |= {"sigma_predicted": math.sqrt(float(np.mean(noise))), "electrons": kept[-1].electrons}
            else:
                found |= {"exposure_s": float(detector.integration_s)}
                found |= _by_stated_noise(table, encoding, found["L"], dark, bright)
            if p.noise == "off":  # point detection without noise
                found |= {"sigma_predicted": None, "electrons": None}
            predicted = found["sigma_predicted"]
            found["sigma_ratio"] = found["sigma_measured"] / predicted if predicted else None
            values |= {f"{name}_{kind}": value for name, value in found.items()}
        if p.readout == "both":
            references = [table.reference for table, _ in sets.values()]
            unit_error = math.hypot(*(r.unit_error / r.unit for r in references))
            values |= _between(compare(fields["camera"], fields["photodetector"], exact, unit_error))
        return values

    def conclude(self, results: dict[str, Any], parameters: Any, record: Recorder) -> dict[str, Any]:
        """Tell and draw."""
        r, p = results, parameters
        for kind in p.kinds:
            predicted = r[f"sigma_predicted_{kind}"]
            as_predicted = f" (predicted {predicted:.2g})" if predicted else ""
            record.console.done(
                f"{kind}: r = {r[f'r_{kind}']:.4f}, slope = {r[f'slope_{kind}']:.4f}, rms error "
                f"{r[f'rms_{kind}']:.3g}, scatter {r[f'sigma_measured_{kind}']:.2g}{as_predicted}, "
                f"{r[f'bench_s_{kind}']:.1f} s a half sweep"
            )
        if p.readout == "both":
            chance = "" if r["agreement_p"] is None else f"; by noise alone as much in {r['agreement_p']:.2g} of runs"
            record.console.done(
                f"one against the other: slope {r['slope']:.4f}, difference {r['difference_rms']:.2g} rms where "
                f"{r['difference_expected']:.2g} is expected{chance}"
            )
        picture = record.picture("readout")
        draw(picture, results, p.kinds, p.repeats)
        record.console.say(f"picture: {picture}")
        return results


def _of_one(kept: list[Measurement], exact: NDArray[np.float64]) -> dict[str, Any]:
    agreement = Agreement()
    for measured in kept:
        agreement.add(exact, measured.fields)
    fields = np.array([m.fields for m in kept])
    return {
        "L": fields.mean(axis=0),
        "r": agreement.r,
        "slope": agreement.slope,
        "rms": agreement.rms,
        "sigma_measured": scatter(fields),
        "exposure_s": kept[-1].exposure_s,
    }


def _between(c: Comparison) -> dict[str, Any]:
    return {
        "r": c.r,
        "slope": c.slope,
        "slope_deviation": abs(c.slope - 1) / c.slope_error if c.slope_error > 0 else None,
        "difference_rms": c.difference_rms,
        "difference_expected": c.expected_rms,
        "agreement_p": None if math.isnan(c.p_value) else c.p_value,
    }


def _by_stated_noise(
    table: Table, encoding: LayerEncoding, fields: NDArray[np.float64], dark: Reading | None, bright: Reading | None
) -> dict[str, Any]:
    """Scatter of fields from the standard deviations that the detector states for a dark and a bright reading.

    Their squares are a quantum times the power, and a rest: the quantum (W) takes the place of the camera's electron.
    """
    nothing = {"sigma_predicted": None, "electrons": None}
    if dark is None or bright is None:
        return nothing
    in_the_dark = dark.standard_power_w
    quantum_w = (bright.standard_power_w**2 - in_the_dark**2) / (bright.power_w - dark.power_w)
    if not quantum_w > 0:  # states no noise, or the same for any power
        return nothing
    sums = fields / encoding.scale
    noise = np.empty(encoding.n_outputs)
    unit = table.reference.unit / quantum_w
    for part in encoding.passes:
        c = sums[part.chosen]
        flipped = np.zeros((len(part.flips), len(c)))
        of = np.repeat(np.arange(len(part.flips)), np.diff(part.flips.offsets))
        flipped[of, part.flips.indices] = 1.0
        intensities = ((c + 1) ** 2).sum() - 4.0 * flipped @ c
        stated = part.flips.predicted_noise(intensities * unit, unit, in_the_dark / quantum_w)
        noise[part.chosen] = np.hypot(stated, table.rounding(encoding)[part.chosen])
    mean = float(intensities.mean() * unit)
    return {"sigma_predicted": encoding.scale * math.sqrt(float((noise**2).mean())), "electrons": mean}
