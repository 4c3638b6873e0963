"""`dyad.noise`: images of Gaussian noise from a lattice of fair dyads, one dyad per pixel or many states added up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Figure, Parameters, Recorder, open_run
from protocols.dyad.noise.noise_picture import draw_noise
from protocols.dyad.noise.statistics import FEWEST, TESTS, NoiseStatistics, noise_statistics, standardise
from protocols.dyad.sensing.fair import make_fair
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, DyadLattice, plan_of
from protocols.dyad.table.reading import compile_kernels

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.01
"""Chance that a set of digital images fails one of the tests."""

_TOGETHER = 20
"""Images of a step."""
_SINGLE = 400
"""Single condensations, from which the noise of many is foretold."""


class NoiseParameters(Parameters):
    """How noise is made, how much of it, and how it is tested."""

    method: Literal["integrated", "binomial"] = Field(
        "integrated", description="long exposures, one dyad per pixel; or states of `dyads` dyads added up"
    )
    images: int = Field(200, ge=FEWEST, le=10**6, description="images of as many pixels as the lattice has dyads")
    exposure_s: float = Field(
        1 / 60, gt=0, le=10, description="integrated: exposure of free-running pump pulses; whole periods of the panel"
    )
    pulses_hz: float | None = Field(
        6000.0, gt=0, le=1e8, description="integrated: of the simulated table's pump; null: as the bench has it"
    )
    dyads: int = Field(25, ge=2, le=4096, description="binomial: N of a pixel, whose value is (ones - zeros)/√N")
    sets: int = Field(999, ge=99, le=10**5, description="sets of digital noise that p-values are counted in")
    precision: float = Field(0.02, gt=0.002, lt=0.3, description="of p1, where no calibration is in force")
    most: int = Field(4000, ge=50, le=10**6, description="condensations of each dyad spent on that")


class Noise(Figure):
    """Noise images of fair dyads, and whether they are white Gaussian noise.

    Integrated: an exposure adds many condensations, and the difference of a dyad's two sites is a Gaussian number about
    its mean; what the pump does to both sites cancels. The SLM's flicker moves p1 with periods of some
    milliseconds, so an exposure has whole periods of its drive, 1/60 s; a shorter one gives noise that is neither
    Gaussian nor white. Binomial: (ones - zeros)/√N of N dyads in one condensation.

    Values: mean and std of a pixel (electrons, or in units of the ideal deviation), means over pixels; std_expected,
    from single condensations, and std_ratio; condensations in an exposure; skewness and kurtosis (excess) with `_err`;
    correlation, of neighbours, with correlation_err, and frame_correlation, from image to image; p_values by test
    (see `noise_statistics`) and failed, how many of them are too small at a level of 0.01 for all; rate_hz, images a
    second on the table. The run file has `noise` (images, rows, columns), of unit variance.
    """

    bench = "dyad-sim"
    Parameters = NoiseParameters
    roles = DYAD_ROLES
    keeps_table = True
    alignments = DYAD_ALIGNMENTS

    def targets(self, parameters: Any) -> dict[str, dict[str, float]] | None:
        """White Gaussian noise, as large as single condensations say."""
        p: NoiseParameters = parameters
        if p.sets + 1 < len(TESTS) / LEVEL:
            return None  # too few to count p-values as small as the level needs
        return {"failed": {"max": 0}, "std_ratio": {"min": 0.9, "max": 1.1}}

    overrides_cure = (
        "no pump of a simulated table is there; choose pulses_hz=null, and it fires as it is set, or method=binomial"
    )

    def bench_overrides(self, parameters: NoiseParameters) -> Mapping[str, object]:
        """How often the simulated table's pump fires by itself."""
        p = parameters
        return {"world.pump.repetition_rate": f"{p.pulses_hz:g} Hz"} if p.method == "integrated" and p.pulses_hz else {}

    def prepare(self, parameters: NoiseParameters, record: Recorder) -> None:
        """Compile what reads the lattice."""
        compile_kernels()

    def run(self, bench: Bench, parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Make dyads fair and take images."""
        p = parameters
        lattice = DyadLattice(bench, plan_of(bench), record.rng)
        if p.method == "binomial" and p.dyads > lattice.n:
            raise ConfigurationError(f"dyads: {p.dyads}; the lattice has {lattice.n}; choose as many or fewer")
        if (kept := record.resumed) is not None:
            record.when_thawed(lambda: lattice.restore(kept))
        with lattice.light():
            make_fair(lattice, p.precision, p.most, record.rng)
            single = lattice.shots(_SINGLE)
            record.save("single", single.intensity)
            for step in record.steps(math.ceil(p.images / _TOGETHER), "taking noise images"):
                begun_s = bench.time_s()
                images, light = _integrated(lattice, p) if p.method == "integrated" else _binomial(lattice, p)
                step.save(images=images, light=light, bench_s=bench.time_s() - begun_s)
                record.checkpoint(**lattice.kept())
        return {"method": p.method, "shape": list(lattice.shape), "misread": float(single.misread.mean())}

    def conclude(self, results: dict[str, Any], parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Standardise, test and draw."""
        p = parameters
        images, light, times = (record.series(name) for name in ("images", "light", "bench_s"))
        single = record.saved("single")
        assert images is not None
        assert light is not None
        assert times is not None
        assert single is not None
        images = images.reshape(-1, *results["shape"])[: p.images]
        noise = standardise(images)
        record.save("noise", noise)
        steps = (2.0, -p.dyads) if p.method == "binomial" else None
        found = noise_statistics(images, np.random.default_rng([record.seed, 1]), steps, p.sets)
        values = {
            **results,
            **_size(images, float(light.mean()), single, p),
            **_whiteness(found),
            "rate_hz": _TOGETHER / float(np.median(times)),
        }
        picture = record.picture("noise")
        draw_noise(picture, noise, found, p.method, np.random.default_rng([record.seed, 2]))
        record.console.done(
            f"{len(images)} images: skewness {found.skewness:+.3f} ± {found.skewness_err:.3f}, excess kurtosis "
            f"{found.kurtosis:+.3f} ± {found.kurtosis_err:.3f}, neighbours' correlation "
            f"{found.neighbour_correlation:+.4f} ± {found.neighbour_correlation_err:.4f}"
        )
        record.console.done(
            f"standard deviation {values['std']:.4g}, from single condensations {values['std_expected']:.4g}; "
            f"{values['failed']} of {len(found.p_values)} tests failed (least p {min(found.p_values.values()):.3f}); "
            f"{values['rate_hz']:.3g} images a second on the table"
        )
        record.console.say(f"picture: {picture}")
        return values


def load_noise(run_file: str | Path) -> FloatArray:
    """Noise images (images, rows, columns), of mean 0 and variance 1, of a run of `dyad.noise`.

    ConfigurationError if the file is of another experiment, or holds none.
    """
    with open_run(Path(run_file)) as file:
        if "data/noise" not in file:
            raise ConfigurationError(f"{run_file}: no noise images; name a complete run of dyad.noise")
        return np.asarray(file["data/noise"][()], np.float64)


def _integrated(lattice: DyadLattice, p: NoiseParameters) -> tuple[FloatArray, float]:
    """(images, n) differences of sites, and the mean light of a dyad, electrons."""
    sites = lattice.integrated(_TOGETHER, p.exposure_s)
    return np.asarray(sites[..., 1] - sites[..., 0]), float(sites.sum(axis=2).mean())


def _binomial(lattice: DyadLattice, p: NoiseParameters) -> tuple[FloatArray, float]:
    """(images, n) sums of ±1, and the mean light of a dyad, electrons.

    A condensation gives as many pixels as there are groups of dyads.
    """
    groups = lattice.n // p.dyads
    each = math.ceil(lattice.n / groups)
    shots = lattice.shots(_TOGETHER * each)
    # A group's dyads lie apart: neighbours in the lattice are in different groups.
    ones = shots.states[:, : groups * p.dyads].reshape(-1, p.dyads, groups).sum(axis=1)
    sums = 2.0 * ones.reshape(_TOGETHER, -1)[:, : lattice.n] - p.dyads
    return np.asarray(sums), float(shots.intensity.sum(axis=2).mean())


def _size(images: FloatArray, light: float, single: FloatArray, p: NoiseParameters) -> dict[str, float]:
    """Mean and standard deviation of a pixel, and what single condensations (shots, n, 2) say of them."""
    condensations = light / float(single.sum(axis=2).mean())
    if p.method == "binomial":
        unit = math.sqrt(p.dyads)
        p1 = (single[..., 1] > single[..., 0]).mean(axis=0)
        expected = float(np.sqrt((4 * p1 * (1 - p1)).mean()))  # variances of ±1 add up
    else:
        unit = 1.0
        one = single[..., 1] - single[..., 0]
        expected = math.sqrt(condensations * float(one.var(axis=0, ddof=1).mean()))
    std = float(np.sqrt(images.var(axis=0, ddof=1).mean())) / unit
    return {
        "mean": float(images.mean()) / unit,
        "std": std,
        "std_expected": expected,
        "std_ratio": std / expected,
        "condensations": condensations,
    }


def _whiteness(found: NoiseStatistics) -> dict[str, Any]:
    return {
        "skewness": found.skewness,
        "skewness_err": found.skewness_err,
        "kurtosis": found.kurtosis,
        "kurtosis_err": found.kurtosis_err,
        "correlation": found.neighbour_correlation,
        "correlation_err": found.neighbour_correlation_err,
        "frame_correlation": found.frame_correlation,
        "p_values": found.p_values,
        "failed": sum(value < LEVEL / len(TESTS) for value in found.p_values.values()),
    }
