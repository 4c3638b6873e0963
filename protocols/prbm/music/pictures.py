"""Pictures of generated music: piano rolls, and how near their histograms are to the tunes'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protocols.prbm.music.judging import WIDEST_STEP, Distances
from protocols.prbm.music.tunes import LOWEST_MIDI, Roll

_MARGIN_KEYS = 3
_MOST_ROLLS = 4
_DEGREES = ("1", "", "2", "", "3", "4", "", "5", "", "6", "", "7")
_INTERVALS = ("8ve", "m2", "M2", "m3", "M3", "4", "tt", "5", "m6", "M6", "m7", "M7")
_SHOWN_STEP = 12


def draw_rolls(path: Path, rolls: Sequence[Roll], titles: Sequence[str]) -> None:
    """Piano rolls below one another on common axes: keys by name, time in quavers. At most four."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rolls = rolls[:_MOST_ROLLS]
    heard = np.flatnonzero((np.concatenate(rolls) > 0).any(axis=0))
    low, high = (int(heard[0]), int(heard[-1])) if len(heard) else (27, 51)
    low, high = low - _MARGIN_KEYS, high + _MARGIN_KEYS
    longest = max(len(roll) for roll in rolls)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 0.6 + 2.3 * len(rolls)), layout="constrained")
        axes = figure.subplots(len(rolls), 1, sharex=True, squeeze=False)[:, 0]
        for axis, roll, title in zip(axes, rolls, titles, strict=False):
            _octaves(axis, low, high)
            _notes(axis, roll)
            axis.set(xlim=(0, longest), ylim=(low - 0.5, high + 0.5), ylabel="key")
            axis.set_title(title, fontsize=9, loc="left")
        axes[-1].set_xlabel("time (quavers)")
        axes[-1].set_xticks(np.arange(0, longest + 1, 8), minor=longest > 80)
        if longest > 80:
            axes[-1].set_xticks(np.arange(0, longest + 1, 24))
        figure.savefig(path, dpi=130)


def _octaves(axis: Any, low: int, high: int) -> None:
    """Names at every C, a grey row for every black key."""
    cs = [key for key in range(low, high + 1) if (key + LOWEST_MIDI) % 12 == 0]
    axis.set_yticks(cs, [f"C{(key + LOWEST_MIDI) // 12 - 1}" for key in cs])
    for key in range(low, high + 1):
        if (key + LOWEST_MIDI) % 12 in (1, 3, 6, 8, 10):
            axis.axhspan(key - 0.5, key + 0.5, color="0.94", linewidth=0)


def _notes(axis: Any, roll: Roll) -> None:
    """Every note as a bar; the highest of each step, the melody, in another colour."""
    on = roll > 0
    silent = np.zeros((1, on.shape[1]), np.int8)
    changes = np.diff(np.concatenate([silent, on.astype(np.int8), silent]), axis=0)
    for key in np.flatnonzero(on.any(axis=0)):
        begins, ends = np.flatnonzero(changes[:, key] == 1), np.flatnonzero(changes[:, key] == -1)
        bars = [(begin, end - begin) for begin, end in zip(begins, ends, strict=True)]
        axis.broken_barh(bars, (key - 0.42, 0.84), facecolors="tab:blue", edgecolors="white", linewidth=0.4)
    for step in np.flatnonzero(on.any(axis=1)):
        top = int(np.flatnonzero(on[step])[-1])
        axis.broken_barh([(step, 1)], (top - 0.42, 0.84), facecolors="tab:orange", linewidth=0)


def draw_histograms(
    path: Path, judged: Mapping[str, Distances], held_out: Distances, likelihood: Mapping[str, Sequence[float]]
) -> None:
    """Degrees, melodic steps and harmonies of the pieces beside the held-out tunes', and the held-out likelihood by
    epoch.

    judged: by name, such as "by light". likelihood: "log_likelihood", its "_err" and its "_epochs", equally long.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        (degrees, harmony), (melody, trained) = figure.subplots(2, 2)
        _bars(degrees, "degrees", judged, held_out, np.arange(12), _DEGREES, "degree of the piece's own scale")
        _bars(harmony, "harmony", judged, held_out, np.arange(12), _INTERVALS, "interval above the lowest note")
        shown = np.arange(WIDEST_STEP - _SHOWN_STEP, WIDEST_STEP + _SHOWN_STEP + 1)
        labels = [str(k - WIDEST_STEP) if k % 3 == 0 else "" for k in shown]
        _bars(melody, "melody", judged, held_out, shown, labels, "step of the highest note (semitones)")
        epochs, values, errors = (likelihood[f"log_likelihood{part}"] for part in ("_epochs", "", "_err"))
        trained.errorbar(epochs, values, errors, fmt="o-", markersize=4, capsize=3)
        trained.set(xlabel="epochs of training", ylabel="held-out ln P per quaver (nats)")
        if len(epochs) == 1:  # of a model that was given
            trained.set(xlabel="model as given", xticks=[])
        figure.savefig(path, dpi=130)


def _bars(
    axis: Any, kind: str, judged: Mapping[str, Distances], held_out: Distances, shown: Any, labels: Any, what: str
) -> None:
    everything = {"held-out tunes": held_out, **judged}
    width = 0.85 / len(everything)
    places = np.arange(len(shown))
    for k, (name, distances) in enumerate(everything.items()):
        histogram = distances.histogram[kind]
        share = histogram / max(histogram.sum(), 1.0)
        label = name if k == 0 else f"{name}: {distances.value[kind]:.3f}"
        colour = "0.3" if k == 0 else f"C{k - 1}"
        axis.bar(places + (k - (len(everything) - 1) / 2) * width, share[shown], width, label=label, color=colour)
    axis.set_xticks(places, labels)
    axis.set_ylim(0, 1.45 * axis.get_ylim()[1])  # room for the legend
    axis.set(xlabel=what, ylabel="share")
    axis.legend(fontsize=8, title="Jensen-Shannon distance", title_fontsize=8)
