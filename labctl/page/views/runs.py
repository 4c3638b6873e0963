"""Runs that were made: the catalogue of a folder, and of one run its numbers, plot, pictures, and how to repeat it."""

from __future__ import annotations

import math
import time
from typing import Any
from urllib.parse import quote

from nicegui import events, ui

from drivers.errors import LabError
from labctl.page.runs.listing import EVERY_S
from labctl.page.views.protocol import show_pictures
from labctl.page.views.visit import View, Visit, heading, picture, table
from labctl.runfile.summary import RunSummary
from labctl.runs.command import command_of

_COLUMNS = [("begun", "begun"), ("protocol", "protocol"), ("status", "status"), ("steps", "steps"), ("took", "took"),
            ("bench", "bench"), ("seed", "seed"), ("file", "file")]  # fmt: skip


class RunsView(View):
    """The list, and one run of it."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._runs: dict[str, RunSummary] = {}
        self._read_s = -math.inf

    async def build(self) -> None:
        """Make both."""
        columns: list[dict[str, Any]] = [
            {"name": name, "label": label, "field": name, "align": "left", "sortable": True} for name, label in _COLUMNS
        ]
        heading(f"Runs in {self.visit.services.out}")
        self._search = ui.input("search").props('dense clearable aria-label="search runs"')
        self._table = ui.table(columns=columns, rows=[], row_key="file", selection="single", pagination=12)
        self._table.classes("w-full").props("dense flat").bind_filter_from(self._search, "value")
        self._table.on_select(self._selected)
        self._none = ui.label("There are no runs yet.").classes("dim")
        self._place = ui.element("div").classes("card")
        self._place.set_visibility(False)

    async def refresh(self) -> None:
        """Read the catalogue again, every few seconds."""
        if time.monotonic() - self._read_s < EVERY_S:
            return
        self._read_s = time.monotonic()
        try:
            runs = await self.visit.services.listing.newest()
        except LabError as error:
            self._none.set_text(str(error))
            self._none.set_visibility(True)
            return
        self._runs = {run.file: run for run in runs}
        rows = [_row(run) for run in runs]
        self._none.set_visibility(not rows)
        if rows != self._table.rows:
            self._table.rows = rows
            self._table.update()

    async def _selected(self, event: events.TableSelectionEventArguments) -> None:
        self._place.clear()
        self._place.set_visibility(bool(event.selection))
        run = self._runs.get(event.selection[0]["file"]) if event.selection else None
        if run is None:
            return
        with self._place:
            heading(f"{run.protocol or run.file}: {run.status}")
            if run.why:
                ui.label(run.why).classes("bad-text")
            command = command_of(run)
            rows = [(name, _spelt(value)) for name, value in run.results.items()]
            table([*rows, *((f"calibration of {role}", one[:12]) for role, one in run.calibrations.items())])
            ui.label("Again:").classes("dim")
            ui.label(command.text or command.note).classes("mono").props('id="repeat"')
            picture(f"/runs/{quote(run.file)}/plot.png", f"plot of {run.file}")
            show_pictures(run.file, tuple(run.pictures))


def _row(run: RunSummary) -> dict[str, Any]:
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(run.begun_s)) if run.begun_s else ""
    return {"begun": begun, "protocol": run.protocol, "status": run.status, "steps": run.steps, "bench": run.bench,
            "took": f"{run.duration_s:.1f} s", "seed": run.seed, "file": run.file}  # fmt: skip


def _spelt(value: float | int | bool | None) -> str:
    return "not defined" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
