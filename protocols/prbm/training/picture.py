"""The picture of a training: how the likelihood rose, what the hidden spins look for, what the machine makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.model import RBM
from protocols.prbm.training.data import TrainingData

_COLUMNS = 12
_FIELD_ROWS = 2


def draw_training(
    path: Path,
    rbm: RBM,
    data: TrainingData,
    samples: NDArray[np.int8],
    curve: Mapping[str, NDArray[Any] | None],
    judged_after: NDArray[np.int64],
    exact_curves: NDArray[np.float64],
    title: str,
) -> None:
    """Curves above; below, strongest receptive fields, training images and images of the machine.

    curve: the run's series by name, one value an epoch, nan where not judged. exact_curves: (seeds, evaluations) of
    log-likelihood by arithmetic, after the epochs ``judged_after``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 7.6), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.0, 1.05])
        above, below = halves
        left, right = above.subplots(1, 2)
        _likelihood(left, curve, judged_after, exact_curves)
        _errors(right, curve)
        _images(below, rbm, data, samples)
        figure.suptitle(title, fontsize=10)
        figure.savefig(path, dpi=120)


def _series(curve: Mapping[str, NDArray[Any] | None], name: str) -> NDArray[np.float64]:
    found = curve[name]
    return np.empty(0) if found is None else np.asarray(found, np.float64)


def _likelihood(
    axes: Any,
    curve: Mapping[str, NDArray[Any] | None],
    judged_after: NDArray[np.int64],
    exact_curves: NDArray[np.float64],
) -> None:
    epoch, value = _series(curve, "epoch"), _series(curve, "log_likelihood")
    judged = np.isfinite(value)
    for k, exact in enumerate(exact_curves):
        axes.plot(judged_after, exact, color="0.65", linewidth=1, label="" if k else "by arithmetic, several seeds")
    axes.errorbar(epoch[judged], value[judged], _series(curve, "log_likelihood_err")[judged], fmt="o-", markersize=4,
                  capsize=2, label="training images")  # fmt: skip
    held_out = _series(curve, "log_likelihood_held_out")
    if np.isfinite(held_out).any():
        error = _series(curve, "log_likelihood_held_out_err")
        axes.errorbar(epoch[judged], held_out[judged], error[judged], fmt="s--", markersize=3, capsize=2,
                      label="held out")  # fmt: skip
    _by_epoch(axes, epoch)
    axes.set_ylabel("log-likelihood (nats per image)")
    axes.legend(frameon=False, fontsize=8)


def _errors(axes: Any, curve: Mapping[str, NDArray[Any] | None]) -> None:
    epoch, wrong = _series(curve, "epoch"), _series(curve, "reconstruction_error")
    judged = np.isfinite(wrong)
    axes.plot(epoch[judged], 100 * wrong[judged], "o-", markersize=4, label="spins wrong after one iteration")
    axes.set_ylabel("reconstruction error (%)")
    _by_epoch(axes, epoch)
    other = axes.twinx()
    other.plot(epoch, _series(curve, "moment_gap"), color="tab:gray", linewidth=1, label="data against chains")
    other.set_ylabel("rms difference of ⟨v h⟩")
    for each in (axes, other):
        each.set_ylim(0, 1.25 * each.get_ylim()[1])  # room for the legend
    lines = axes.get_lines() + other.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], frameon=False, fontsize=8)


def _by_epoch(axes: Any, epoch: NDArray[np.float64]) -> None:
    axes.set_xlabel("epoch")
    if len(epoch) and epoch[-1] > 100:
        axes.set_xscale("log")


def _images(figure: Any, rbm: RBM, data: TrainingData, samples: NDArray[np.int8]) -> None:
    strongest = np.argsort(-np.abs(rbm.weights).sum(axis=0), kind="stable")[: _FIELD_ROWS * _COLUMNS]
    rows = -(-len(strongest) // _COLUMNS)
    chosen = np.linspace(0, len(data.spins) - 1, min(_COLUMNS, len(data.spins))).round().astype(int)
    grid = figure.add_gridspec(rows + 2, _COLUMNS + 1, width_ratios=[1.6] + [1] * _COLUMNS)
    largest = float(np.abs(rbm.weights[:, strongest]).max()) or 1.0
    weights = []
    for k, j in enumerate(strongest):
        cell = figure.add_subplot(grid[k // _COLUMNS, 1 + k % _COLUMNS])
        shown = cell.imshow(rbm.weights[:, j].reshape(data.shape), cmap="RdBu_r", vmin=-largest, vmax=largest)
        _bare(cell)
        weights.append(cell)
    for row, images in ((rows, data.spins[chosen]), (rows + 1, samples[:_COLUMNS])):
        for k, image in enumerate(images):
            cell = figure.add_subplot(grid[row, 1 + k])
            cell.imshow(image.reshape(data.shape), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            _bare(cell)
    words = [f"W to {len(strongest)} of {rbm.n_hidden}\nhidden spins,\n±{largest:.2g}", "training\nimages"]
    words.append("images of\nthe machine")
    for where, text in zip((grid[0:rows, 0], grid[rows, 0], grid[rows + 1, 0]), words, strict=True):
        label = figure.add_subplot(where)
        label.axis("off")
        label.text(0.95, 0.5, text, ha="right", va="center", fontsize=8, transform=label.transAxes)
    figure.colorbar(shown, ax=weights, label="W")


def _bare(axes: Any) -> None:
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_color("0.7")
        side.set_linewidth(0.6)
