"""`langevin.capacity`: how many hidden units a set of digits needs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.langevin.computer import IdealComputer
from protocols.langevin.figure import LangevinFigure, with_picture
from protocols.langevin.generation.denoising import described, heat_of, judged, stages_of
from protocols.langevin.generation.digits import DigitsParameters, require_digits
from protocols.langevin.generation.recognition import recognised
from protocols.langevin.training.training import train_now
from simulators.physics.langevin.reference import Scheme

Array = NDArray[np.float64]
_SHOWN = ("recognised", "recognised_err", "correlation", "correlation_sd", "smallest_share", "heat")
_ENOUGH = 0.8


class CapacityParameters(DigitsParameters):
    """As for langevin.digits, by the equations, with each of so many hidden units."""

    sizes: tuple[int, ...] = Field((32, 64, 128, 256, 512), min_length=2, description="hidden units, ascending")
    trajectories: int = Field(128, ge=2, le=10**5, description="of denoising, with each number of hidden units")
    scheme: Scheme = "averaged"
    dt: float = Field(2.5e-3, gt=0, le=0.1, description="time step of the equations, 1/mu")

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if sizes[0] < 1 or any(b <= a for a, b in pairwise(sizes)) or sizes[-1] > 15_000:
            raise ValueError(f"sizes={list(sizes)}: allowed: ascending numbers of units, 1 to 15000")
        return sizes


class Capacity(LangevinFigure):
    """Digits of noise, recognised by a classifier of real ones, against the number of hidden units.

    Values, lists by size: `hidden`, `recognised` with `_err`, `correlation` with `_sd`, `smallest_share` of an image,
    `heat` (k_BT); `images`; `capacity`, the hidden units (nan: more than were tried) with which four in five outcomes
    are recognised, between sizes by the logarithm, and `capacity_per_image`. ``sizes`` stand in the place of hidden;
    a bench's computer has one size, so that loop=device is refused.
    """

    Parameters = CapacityParameters

    def targets(self, parameters: CapacityParameters) -> dict[str, dict[str, float]] | None:
        """Of ten images: that the limit lies within the sizes."""
        varied = {name: getattr(parameters, name) for name in ("data", "workers")}
        return {"capacity_per_image": {"max": 51.2}} if parameters == CapacityParameters(**varied) else None

    def prepare(self, parameters: CapacityParameters, record: Recorder) -> None:
        """Check what is asked for."""
        require_digits(parameters)
        if parameters.loop != "ideal" or parameters.noising == "measured":
            raise ConfigurationError(
                f"loop={parameters.loop}, noising={parameters.noising}: a bench's computer has one size; choose "
                "loop=ideal, or langevin.digits"
            )

    def run(self, bench: Bench, parameters: CapacityParameters, record: Recorder) -> dict[str, Any]:
        """Train and denoise with each size."""
        p = parameters
        for step in record.steps(len(p.sizes), "numbers of hidden units"):
            trained = train_now(p.model_copy(update={"hidden": p.sizes[step.index]}), record.seed)
            computer = IdealComputer(trained.units, p.dt, p.scheme, record.seed, p.workers, first_run=step.index)
            x = computer.run(stages_of(trained, [0.0, trained.duration]), p.trajectories)
            shown = x[:, -1, : trained.visible]
            found = described(judged(shown, trained.images), heat_of(trained, x), len(trained.images))
            found |= recognised(trained, shown, p.data)
            step.save(**{name: found[name] for name in _SHOWN}, images=len(trained.images))
            record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: CapacityParameters, record: Recorder) -> dict[str, Any]:
        """Interpolate and draw."""
        sizes = np.array(parameters.sizes, np.float64)
        series = {name: np.asarray(record.series(name)) for name in _SHOWN}
        images = int(np.asarray(record.series("images"))[0])
        capacity = crossing(sizes, series["recognised"], _ENOUGH)
        values = {
            "hidden": list(parameters.sizes),
            **{name: each.tolist() for name, each in series.items()},
            "images": images,
            "capacity": capacity,
            "capacity_per_image": capacity / images,
        }
        record.console.done(
            f"{images} images: four in five outcomes are recognised with {capacity:.0f} hidden units, "
            f"{capacity / images:.0f} an image"
        )
        with_picture(record, "capacity", lambda path: _draw(path, sizes, series, capacity, images))
        return values


def crossing(sizes: Array, shares: Array, level: float) -> float:
    """The size from which on shares stay at a level or above, by the logarithm; the first if they always are, nan if
    the last is not."""
    below = np.flatnonzero(shares < level)
    if len(below) == 0:
        return float(sizes[0])
    k = int(below[-1])
    if k == len(sizes) - 1:
        return float("nan")
    part = (level - shares[k]) / (shares[k + 1] - shares[k])
    return float(sizes[k] * (sizes[k + 1] / sizes[k]) ** part)


def _draw(path: Path, sizes: Array, series: dict[str, Array], capacity: float, images: int) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.errorbar(sizes, series["recognised"], series["recognised_err"], fmt="o-", label="recognised")
        axes.errorbar(sizes, series["correlation"], series["correlation_sd"], fmt="s-", label="|correlation| ± spread")
        axes.plot(sizes, series["smallest_share"] * images, "^-", label="rarest image, of an even share")
        axes.axhline(_ENOUGH, color="0.7", linewidth=0.8, zorder=0)
        if np.isfinite(capacity):
            axes.axvline(capacity, color="0.7", linewidth=0.8, linestyle="--", zorder=0)
        axes.set(xlabel="hidden units", xscale="log", ylim=(-0.03, 1.08), title=f"{images} images")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        figure.savefig(path, dpi=120)
