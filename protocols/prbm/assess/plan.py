"""`prbm.plan`: rms error and time per sample to expect of a bench, and the settings that suit it.

A few patterns are measured, for the light and the time that one takes here; everything else follows from closed forms
(`protocols.prbm.assess.prediction`). Where a map of a blazed order is in force, measurements in it tell instead.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import Bench, Figure, Parameters, Recorder
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.assess.prediction import Lens, level_noise, patterns_of, shot_noise, visibility, window_error
from protocols.prbm.light.encoding import Flips
from protocols.prbm.light.layers import Layers, rbm_layers
from protocols.prbm.light.mapped import mapped_in_force
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import Agreement
from protocols.prbm.light.table import PIXELS_PER_SPIN, TABLE_ROLES, table_on
from protocols.prbm.model import RBM

_SLITS = (1, 7, 15, 31, 61, 121)
_AVERAGES = (1, 2, 4, 8, 16, 32)


class PlanParameters(Parameters):
    """What is to be sampled, how well."""

    model: Path | None = Field(None, description="trained model (.npz or .json)")
    N: int = Field(196, ge=1, le=900, description="spins of each layer, without a model")
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings, without a model")
    temperature: float = Field(1.0, gt=0)
    iterations: int = Field(15, ge=1, description="full iterations for one sample")
    error: float = Field(0.1, gt=0, description="rms error of local fields that is good enough, in units of T")
    repeats: int = Field(4, ge=1, le=1000, description="measurements that check the suggestion")


@dataclass(frozen=True)
class Candidate:
    """Settings with what they promise: rms error of L, patterns and seconds on the table for one sample."""

    flips: str
    slit: int
    slit_width: int
    averages: int
    rms: float
    patterns: int
    exposure_s: float
    seconds: float


class Plan(Figure):
    """What to expect, and what to set.

    Values: `suggested` (flips, slit, slit_width, averages), `rms_predicted`, `rms_measured` (by these settings),
    `time_per_sample_s` (predicted, on the table) and `time_measured_s`, `reachable` (whether the wanted error is),
    `candidates`, all settings considered; `pattern_s`, the time for a pattern beside its exposure.
    """

    Parameters = PlanParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def targets(self, parameters: PlanParameters) -> dict[str, dict[str, float]] | None:
        """The suggestion does what it promises."""
        if parameters != PlanParameters():
            return None
        return {"rms_ratio": {"min": 0.7, "max": 1.4}, "time_ratio": {"min": 0.85, "max": 1.15}}

    def prepare(self, parameters: PlanParameters, record: Recorder) -> None:
        """Read the model."""
        p = parameters
        self.rbm = RBM.load(p.model) if p.model else Case.random(p.N, p.sd, None, 0).rbm

    def run(self, bench: Bench, parameters: PlanParameters, record: Recorder) -> dict[str, Any]:
        """Measure a little, predict, check the suggestion."""
        p, layers = parameters, rbm_layers(self.rbm)
        mapped = mapped_in_force(bench) is not None
        probe = ReadoutParameters(reference_repeats=50)
        table: Any = table_on(bench, layers, probe)
        _, seconds, exposure_s, measured_rms, noise = _try(bench, table, layers, 2, record.rng)
        patterns = sum(patterns_of(probe.flips, layer.n_outputs, _bands(bench)) for layer in layers.values())
        if mapped:
            # Noise falls by averaging; what else is wrong stays.
            floor = math.sqrt(max(measured_rms**2 - noise**2, 0.0))
            candidates = [
                Candidate("hadamard", probe.slit, 1, a, math.hypot(floor, noise / math.sqrt(a)), patterns * a,
                          exposure_s, p.iterations * seconds * a)
                for a in _AVERAGES
            ]  # fmt: skip
            pattern_s = seconds / patterns - exposure_s
        else:
            pattern_s = seconds / patterns - exposure_s
            rate = table.reference.unit / probe.slit  # counts per second and camera row from one macro-pixel
            error = table.reference.unit_error / table.reference.unit
            candidates = [
                _predicted(bench, layers, p, rate, error, pattern_s, *settings)
                for settings in itertools.product(("single", "hadamard"), _SLITS, (1, 3), _AVERAGES)
                if settings[1] < int(bench.camera.rows)
            ]
        wanted = p.error * p.temperature
        best = suggested(candidates, wanted)
        chosen = ReadoutParameters(
            flips=best.flips,
            slit=best.slit,
            slit_width=best.slit_width,
            averages=best.averages,
            reference_repeats=50,
        )
        _, seconds, _, rms, _ = _try(bench, table_on(bench, layers, chosen), layers, p.repeats, record.rng)
        return {
            "suggested": {k: getattr(best, k) for k in ("flips", "slit", "slit_width", "averages")},
            "reachable": best.rms <= wanted,
            "rms_predicted": best.rms,
            "rms_measured": rms,
            "rms_ratio": rms / best.rms,
            "time_per_sample_s": best.seconds,
            "time_measured_s": p.iterations * seconds,
            "time_ratio": p.iterations * seconds / best.seconds,
            "pattern_s": pattern_s,
            "mapped": mapped,
            "candidates": [asdict(c) for c in candidates],
        }

    def conclude(self, results: dict[str, Any], parameters: PlanParameters, record: Recorder) -> dict[str, Any]:
        """Tell and draw."""
        r, best = results, results["suggested"]
        picture = record.picture("plan")
        _draw(picture, r, parameters)
        settings = " ".join(f"{k}={v}" for k, v in best.items())
        reach = "" if r["reachable"] else f" (the wanted {parameters.error * parameters.temperature:g} is out of reach)"
        record.console.done(
            f"--set {settings}: rms error {r['rms_predicted']:.3g} predicted, {r['rms_measured']:.3g} measured{reach}; "
            f"{r['time_per_sample_s']:.0f} s on the table for a sample of {parameters.iterations} iterations"
        )
        record.console.say(f"picture: {picture}")
        return results


def suggested(candidates: list[Candidate], wanted: float) -> Candidate:
    """The quickest that is good enough, by a margin of 10 %; the best where none is."""
    good = [c for c in candidates if c.rms <= 0.9 * wanted]
    return min(good, key=lambda c: (round(c.seconds, 1), c.rms)) if good else min(candidates, key=lambda c: c.rms)


def _bands(bench: Bench) -> int:
    alignment: Any = bench.alignment("prbm")
    return int(alignment.bands)


def _try(
    bench: Bench, table: Any, layers: Layers, repeats: int, rng: np.random.Generator
) -> tuple[Agreement, float, float, float, float]:
    """Seconds on the table for an iteration, exposure, rms error and its predicted noise, from both layers."""
    encodings = {name: table.encode(layer) for name, layer in layers.items()}

    def once(agreement: Agreement) -> tuple[float, float]:
        exposures, noises = [], []
        for name, layer in layers.items():
            spins = rng.choice(np.array([-1, 1], np.int8), layer.n_inputs)
            measured = table.measure(encodings[name], spins)
            agreement.add(layer.local_fields(spins), measured.fields)
            exposures.append(measured.exposure_s)
            noises.append(float((measured.predicted_noise**2).mean()))
        return float(np.mean(exposures)), math.sqrt(float(np.mean(noises)))

    once(Agreement())  # exposures settle
    agreement, begun_s = Agreement(), bench.time_s()
    exposure_s = noise = 0.0
    for _ in range(repeats):
        exposure_s, noise = once(agreement)
    return agreement, (bench.time_s() - begun_s) / repeats, exposure_s, agreement.rms, noise


def _predicted(
    bench: Bench,
    layers: Layers,
    p: PlanParameters,
    rate: float,
    unit_error: float,
    pattern_s: float,
    flips: str,
    slit: int,
    slit_width: int,
    averages: int,
) -> Candidate:
    camera, bands = bench.camera, _bands(bench)
    default = ReadoutParameters()
    levels = int(bench.slm.levels) or None
    pitch = default.pixels_per_spin or PIXELS_PER_SPIN
    limits = camera.limits("exposure_s")
    shortest_s, longest_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, 1.0)  # as the table exposes
    squares, seconds, exposure_s, patterns = [], 0.0, 0.0, 0
    for layer in layers.values():
        scale = layer.largest or 1.0
        couplings = layer.couplings.T / scale  # an RBM's layers see all of the other
        c_rms = float(np.sqrt((couplings**2).sum(axis=0).mean()))
        lit = min(layer.n_outputs, Flips.most(flips, bands))
        peak = lit * (c_rms**2 + 1) * rate
        exposure_s = min(max(default.fill * float(camera.full_scale_counts) / peak, shortest_s), longest_s)
        electrons = peak * exposure_s * slit * slit_width * float(camera.electrons_per_count)
        shot = shot_noise(flips, layer.n_outputs, bands, c_rms, electrons) / math.sqrt(averages)
        seen = visibility(layer.n_inputs, pitch, default.output_at, slit_width, Lens())
        rounding = level_noise(couplings, levels) / math.sqrt(averages)
        errors = (shot, rounding, window_error(couplings, seen), c_rms * unit_error)
        squares.append(scale**2 * sum(e**2 for e in errors))
        number = averages * patterns_of(flips, layer.n_outputs, bands)
        patterns += number
        seconds += number * (pattern_s + exposure_s)
    return Candidate(
        flips, slit, slit_width, averages, math.sqrt(float(np.mean(squares))), patterns, exposure_s,
        p.iterations * seconds,
    )  # fmt: skip


def _draw(path: Path, r: dict[str, Any], p: PlanParameters) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(6.4, 4.8), layout="constrained")
        ax = figure.subplots()
        for flips, colour in (("single", "C1"), ("hadamard", "C0")):
            chosen = [c for c in r["candidates"] if c["flips"] == flips]
            if chosen:
                ax.scatter(
                    [c["seconds"] for c in chosen],
                    [c["rms"] for c in chosen],
                    [6 + 0.5 * c["slit"] for c in chosen],
                    color=colour,
                    alpha=0.45,
                    linewidths=0,
                    label=f"{flips} flips",
                )
        best = r["suggested"]
        label = f"suggested: {best['flips']}, slit {best['slit']}, {best['averages']} averaged"
        ax.plot(
            r["time_per_sample_s"], r["rms_predicted"], "o", markersize=13, fillstyle="none", color="k", label=label
        )
        ax.plot(r["time_measured_s"], r["rms_measured"], "x", color="k", label="measured with it")
        ax.axhline(p.error * p.temperature, color="0.6", linestyle=":", label="wanted")
        ax.set(
            xscale="log",
            yscale="log",
            xlabel=f"time on the table for one sample of {p.iterations} iterations (s)",
            ylabel="rms error of local fields L",
            title="settings of this bench: predicted error against time (larger dots: longer slits)",
        )
        ax.title.set_fontsize(9)
        figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
        figure.savefig(path, dpi=120)
