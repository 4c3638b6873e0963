"""What the SLM shows: its gray levels, as it was last sent them."""

from __future__ import annotations

import json

from nicegui import ui

from drivers.errors import LabError
from labctl.page.views.viewer import tell, viewer
from labctl.page.views.visit import View, heading, table

_PALETTES = {"twilight": "twilight, as phase wraps", "gray": "gray"}


class SlmView(View):
    """Every SLM of the bench."""

    async def build(self) -> None:
        """A picture of each."""
        panels = [name for name, told in self.link.state.devices.items() if told["kind"] == "slm"]
        if not panels:
            ui.label("This bench has no SLM." if self.link.state.connected else "The bench is not there.")
        for panel in panels:
            with ui.element("div").classes("two"):
                with ui.element("div").classes("card"):
                    heading(panel)
                    shown = viewer(panel, f"pattern on {panel}", "twilight")
                with ui.element("div").classes("card"):
                    ui.select(
                        _PALETTES, value="twilight", label="colours",
                        on_change=lambda e, shown=shown: tell(shown, f"colours({json.dumps(e.value)})"),
                    )  # fmt: skip
                    ui.label("Read back once a second, between calls, so that a running loop does not wait.").classes(
                        "dim"
                    )
                    place = ui.element("div").classes("w-full")
            with place:
                await self._settings(panel)

    async def _settings(self, panel: str) -> None:
        observer = self.link.observer
        if observer is None:
            return
        try:
            told = await observer.describe(panel)
            rows = []
            for one in told.settings:
                if one.value_type in ("float", "int", "bool", "str"):
                    value = await observer.get(panel, one.name)
                    text = f"{value:.6g}" if isinstance(value, float) else str(value)
                    rows.append((one.name.replace("_", " "), f"{text} {'' if one.unit in (None, '1') else one.unit}"))
            table(rows)
        except LabError as error:
            ui.label(f"settings are not known: {error}").classes("dim")
