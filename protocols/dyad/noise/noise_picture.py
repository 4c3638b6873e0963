"""Pictures of noise images: one of them, beside digital noise; its distribution; its spatial frequencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from protocols.dyad.noise.statistics import NoiseStatistics

FloatArray = npt.NDArray[np.float64]

_RANGE = 3.5
_POINTS = 400


def draw_noise(path: Path, noise: FloatArray, found: NoiseStatistics, method: str, rng: np.random.Generator) -> None:
    """Of standardised images (frames, rows, columns). rng: of the digital noise beside."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10.5, 6.2), layout="constrained")
        above, below = figure.subplots(2, 3)
        digital = rng.standard_normal(noise.shape)
        for ax, images, title in ((above[0], noise, f"dyads, {method}"), (above[1], digital, "digital")):
            image = ax.imshow(images[0], cmap="RdBu_r", vmin=-_RANGE, vmax=_RANGE)
            ax.set_title(f"an image: {title}", fontsize=9.5)
            ax.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=above[1], label="standard deviations", shrink=0.9)
        spectrum = np.fft.fftshift(found.spectrum)
        rows, columns = spectrum.shape
        extent = (-(columns // 2) - 0.5, (columns + 1) // 2 - 0.5, (rows + 1) // 2 - 0.5, -(rows // 2) - 0.5)
        most = max(1.5, float(spectrum.max()))
        shown = above[2].imshow(spectrum, cmap="viridis", vmin=0, vmax=most, extent=extent)
        above[2].set(xlabel="periods across", ylabel="periods down")
        above[2].set_title(f"power spectrum, {len(noise)} images", fontsize=9.5)
        figure.colorbar(shown, ax=above[2], label="over the mean", shrink=0.9)
        _draw_histogram(below[0], noise)
        _draw_quantiles(below[1], noise, digital)
        _draw_tests(below[2], found)
        figure.savefig(path, dpi=120)


def _draw_histogram(ax: Any, noise: FloatArray) -> None:
    edges = np.linspace(-4.5, 4.5, 46)
    ax.hist(noise.ravel(), edges, density=True, color="C0", alpha=0.6, label="dyads")
    x = np.linspace(-4.5, 4.5, 300)
    ax.plot(x, stats.norm.pdf(x), color="k", linewidth=1, label="Gaussian")
    ax.set(xlabel="value, standard deviations", ylabel="density", yscale="log", ylim=(1e-5, 1), xlim=(-4.6, 4.6))
    ax.legend(frameon=False, loc="lower center")


def _draw_quantiles(ax: Any, noise: FloatArray, digital: FloatArray) -> None:
    """Away from the Gaussian's quantiles, where nothing is to be seen on the diagonal itself."""
    for values, colour, label in ((digital, "0.6", "digital"), (noise, "C0", "dyads")):
        ordered = np.sort(values.ravel())
        n = len(ordered)
        chosen = np.unique(np.geomspace(1, n / 2, _POINTS // 2).astype(int))
        chosen = np.concatenate([chosen - 1, n - chosen[::-1]])
        expected = stats.norm.ppf((chosen + 0.5) / n)
        ax.plot(expected, ordered[chosen] - expected, ".", color=colour, markersize=3, label=label)
    ax.axhline(0, color="k", linewidth=0.8)
    ax.set(xlabel="quantile of a Gaussian", ylabel="measured less expected", ylim=(-0.8, 0.8))
    ax.legend(frameon=False, loc="lower right", markerscale=3)


def _draw_tests(ax: Any, found: NoiseStatistics) -> None:
    names = list(found.p_values)
    ax.plot(list(found.p_values.values()), np.arange(len(names)), "o", color="C0")
    ax.set_yticks(np.arange(len(names)), [name.replace("_", " ") for name in names])
    ax.invert_yaxis()
    ax.set(xscale="log", xlim=(7e-4, 1.4), xlabel="p-value, by digital noise treated alike")
    ax.grid(axis="y", color="0.9")
