"""A run as a notebook shows it: everything that is in its file, as pictures and tables, too."""

from __future__ import annotations

from pathlib import Path

from labctl.runfile.file import find_run
from labctl.runs.data import RunData
from labctl.runs.drawn import Picture


class ShownRun(RunData):
    """A run that draws itself."""

    def plot(self, *only: str, to: str | Path | None = None) -> Picture:
        """Its steps, arrays and lists of results in one picture, which a notebook shows.

        only: names as ``steps/visible``, ``data/W``, ``results/r``, or without the part before the stroke. to: also
        write it there (PNG). ConfigurationError for a name that is not there and a run with nothing to show.
        """
        from labctl.runs.plot import picture  # with it comes matplotlib

        return Picture.of(picture(self, only)[0], to)

    def _repr_html_(self) -> str:
        from labctl.runs.report import brief

        return brief(self)


def open_run_data(run: str | Path, out: str | Path = "runs") -> ShownRun:
    """A run by its file, by its name in the folder ``out``, or "latest". ConfigurationError if it is no run."""
    return ShownRun(find_run(str(run), Path(out)))
