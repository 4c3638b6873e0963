"""The log of all processes of the bench, newest first."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

from nicegui import ui

from labctl.page.views.visit import View, Visit, heading
from labctl.server import logs

_MOST = 200
_TAIL_BYTES = 400_000
_COLOURS = {"error": "bad-text", "critical": "bad-text", "warning": "lit-text"}


class LogView(View):
    """Its last lines, which can be chosen by level and text."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._seen: tuple[str, int, str, str] | None = None

    async def build(self) -> None:
        """Make the place for them."""
        heading("Log")
        with ui.element("div").classes("row"):
            self._level = ui.select(["all", "warning", "error"], value="all", label="from level on").style(
                "width: 11em"
            )
            self._text = ui.input("with the words").style("width: 18em")
        self._lines = ui.element("div").classes("card").props('id="log"')

    async def refresh(self) -> None:
        """Read what is new."""
        path = None if self.link.at else logs.newest_file(self.link.bench)
        size = path.stat().st_size if path is not None else 0
        now = (str(path), size, str(self._level.value), str(self._text.value or ""))
        if now == self._seen:
            return
        self._seen = now
        self._lines.clear()
        with self._lines:
            if path is None:
                ui.label("The log is on the bench's own machine." if self.link.at else "There is no log yet.")
                return
            found = await self.link.apart(lambda: tail(path))
            for line in reversed(found):
                text = _readable(line)
                if self._wanted(line, text):
                    ui.label(text).classes(f"mono {_COLOURS.get(line['level'], '')}")

    def _wanted(self, line: dict[str, Any], text: str) -> bool:
        levels = {"all": ("info", "warning", "error", "critical"), "warning": ("warning", "error", "critical")}
        wanted = levels.get(str(self._level.value), ("error", "critical"))
        return line["level"] in wanted and str(self._text.value or "").lower() in text.lower()


def tail(path: Path) -> list[dict[str, Any]]:
    """The last lines of a log, however large it is."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        raw = file.read().splitlines()
    found: deque[dict[str, Any]] = deque(maxlen=_MOST)
    for text in raw:
        try:
            line = json.loads(text)
        except ValueError:  # the first, of which the beginning is missing, or one of a full disk
            continue
        if isinstance(line, dict) and {"utc", "level", "process", "message"} <= line.keys():
            found.append(line)
    return list(found)


def _readable(line: dict[str, Any]) -> str:
    about = [f"{key} {line[key]}" for key in ("device", "run") if line.get(key)]
    fields = f" [{', '.join(about)}]" if about else ""
    return f"{line['utc'][11:23]} {line['level']:7} {line['process']}{fields}: {line['message']}"
