"""Calibrations in force on the bench: what they are, whether their checks passed, and their values drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nicegui import events, ui

from drivers.errors import LabError
from labctl.bench.shelf import Shelf
from labctl.page.views.visit import View, Visit, heading, picture, table
from labctl.store.store import InForce

_COLUMNS = [("role", "device"), ("kind", "kind"), ("id", "id"), ("made", "made (UTC)"), ("until", "valid until"),
            ("checks", "checks"), ("verdict", "last check-up"), ("who", "put in force by")]  # fmt: skip


class CalibrationsView(View):
    """The list, and one of it."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._found: dict[str, InForce] = {}

    async def build(self) -> None:
        """Ask the bench once; calibrations change seldom."""
        heading("Calibrations in force")
        try:
            shelf = await self.visit.services.calibrations.shelf()
        except LabError as error:
            ui.label(str(error)).classes("bad-text")
            return
        if not shelf.in_force:
            ui.label(
                f"None is in force on this bench. They are kept in {shelf.folder}; "
                f"`labctl calibrate --all --bench {self.link.bench}` makes them."
            ).classes("dim")
            return
        self._list(shelf)

    def _list(self, shelf: Shelf) -> None:
        self._found = {one.use.id: one for one in shelf.in_force}
        columns: list[dict[str, Any]] = [
            {"name": name, "label": label, "field": name, "align": "left", "sortable": True} for name, label in _COLUMNS
        ]
        made = ui.table(
            columns=columns, rows=[_row(one) for one in shelf.in_force], row_key="whole", selection="single"
        )
        made.classes("w-full").props("dense flat").on_select(self._selected)
        self._place = ui.element("div").classes("card")
        self._place.set_visibility(False)

    async def _selected(self, event: events.TableSelectionEventArguments) -> None:
        self._place.clear()
        self._place.set_visibility(bool(event.selection))
        if not event.selection:
            return
        one = self._found[event.selection[0]["whole"]]
        header = one.header
        with self._place:
            heading(header.title)
            table(
                [
                    ("holds while", "; ".join(str(c) for c in header.holds_while) or "always"),
                    (
                        "measured at",
                        ", ".join(
                            f"{name} {str(m).strip('<>').removesuffix(' 1')}" for name, m in header.conditions.items()
                        ),
                    ),
                    ("stands on", ", ".join(parent[:12] for parent in header.parents) or "nothing"),
                    *((f"check {'passed' if c.passed else 'FAILED'}", str(c)) for c in header.checks),
                ]
            )
            picture(f"/calibrations/{header.id}/plot.png", f"values of {header.title}")


def _row(one: InForce) -> dict[str, str]:
    header = one.header
    until = header.valid_until
    over = until is not None and until < datetime.now(UTC)
    end = "for good" if until is None else f"{until.astimezone(UTC):%Y-%m-%d %H:%M}{' OVER' if over else ''}"
    passed = sum(check.passed for check in header.checks)
    verdict = "" if one.verdict is None else "holds" if one.verdict.holds else "FAILED"
    return {"role": header.role, "kind": header.kind, "id": header.short_id, "whole": one.use.id,
            "made": f"{header.made.astimezone(UTC):%Y-%m-%d %H:%M}", "until": end,
            "checks": f"{passed} of {len(header.checks)} passed", "verdict": verdict, "who": one.use.who}  # fmt: skip
