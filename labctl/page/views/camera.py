"""The live camera: false colour, histogram, saturated pixels marked, exposure, and a region of interest by mouse."""

from __future__ import annotations

import json
from typing import Any

from nicegui import events, ui

from drivers.contract import ROI
from drivers.errors import LabError, LimitError
from labctl.bus.roles import Role
from labctl.page.views.viewer import tell, viewer
from labctl.page.views.visit import View, Visit, button, heading

PALETTES = {"inferno": "inferno", "viridis": "viridis", "gray": "gray", "red": "red, for eyes used to the dark"}
_SETTINGS_EVERY = 4
_PARTS = ("row", "column", "rows", "columns")


class CameraView(View):
    """One camera at a time, or a sequencer that returns images."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        devices = self.link.state.devices
        self._sources = [n for n, told in devices.items() if told["kind"] in ("camera", "sequencer")]
        self._source = next((n for n in self._sources if devices[n]["kind"] == "camera"), "")
        self._turn = 0
        self._viewer = ""
        self._read: dict[str, Any] = {}
        self._ended = ""

    @property
    def _is_camera(self) -> bool:
        return self.link.state.devices.get(self._source, {}).get("kind") == "camera"

    async def build(self) -> None:
        """Make the picture and what is beside it."""
        if not self._source:
            ui.label("This bench has no camera." if self.link.state.connected else "The bench is not there.")
            return
        with ui.element("div").classes("two"):
            with ui.element("div").classes("card"):
                self._place = ui.element("div").classes("w-full")
            with ui.element("div").classes("card"):
                self._choices()
                if self._is_camera:
                    self._settings()
        self._look()

    def _look(self) -> None:
        self._place.clear()
        with self._place:
            colours, stretch = str(self._palette.value), bool(self._stretch.value)
            what = f"live picture of {self._source}"
            self._viewer = viewer(self._source, what, colours, region=True, stretch=stretch)

    def _choices(self) -> None:
        heading("Picture")
        if len(self._sources) > 1:
            ui.select(self._sources, value=self._source, label="of", on_change=self._other)
        self._palette = ui.select(
            PALETTES, value="inferno", label="colours",
            on_change=lambda e: tell(self._viewer, f"colours({json.dumps(e.value)})"),
        )  # fmt: skip
        self._stretch = ui.checkbox(
            "stretch from darkest to brightest",
            value=True,
            on_change=lambda e: tell(self._viewer, f"stretch({json.dumps(bool(e.value))})"),
        )
        ui.label("Magenta: a pixel of the sensor there is saturated.").classes("dim")

    def _settings(self) -> None:
        visit = self.visit
        operator = visit.role >= Role.OPERATOR
        heading("Camera")
        self._exposure = ui.number("exposure (ms)", min=0, step=0.1, format="%.4g").props("dense")
        button("Set exposure", visit, self._set_exposure, Role.OPERATOR)
        ui.label("Region of the sensor: draw it in the picture, or type it.").classes("dim")
        with ui.element("div").classes("row"):
            self._region = {
                part: ui.number(part, min=0, format="%d").props("dense").style("width: 6.2em") for part in _PARTS
            }
        with ui.element("div").classes("row"):
            button("Set region", visit, self._set_region, Role.OPERATOR)
            button("Whole sensor", visit, self._whole, Role.OPERATOR, colour="grey-8")
        for field in (self._exposure, *self._region.values()):
            if not operator:
                field.disable()
        self._live = button("Expose all the time", visit, self._toggle, Role.OPERATOR, colour="grey-8")
        self._told = ui.label().classes("dim")

    async def _other(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._source = str(event.value)
        self._look()

    def drawn(self, region: dict[str, Any]) -> None:
        """A region in the picture; it is set by the button, so that a slip of the mouse changes nothing."""
        if not self._is_camera or not hasattr(self, "_live"):
            return
        for part in _PARTS:
            self._region[part].set_value(int(region[part]))
        if self.visit.role < Role.OPERATOR:
            ui.notify("drawn; setting it is for operators", position="bottom")

    async def _set_exposure(self) -> None:
        if self._exposure.value is None:
            raise LimitError("no exposure is given; type a time in ms")
        await self.visit.set(self._source, "exposure_s", float(self._exposure.value) / 1000)
        await self._read_settings()

    async def _set_region(self) -> None:
        values = {part: field.value for part, field in self._region.items()}
        if any(value is None for value in values.values()):
            raise LimitError("row, column, rows and columns of the region are needed")
        roi = ROI(**{part: int(value) for part, value in values.items() if value is not None})
        await self.visit.set(self._source, "roi", roi)
        tell(self._viewer, "clear()")
        await self._read_settings()

    async def _whole(self) -> None:
        rows, columns = self._read.get("rows"), self._read.get("columns")
        if rows is None or columns is None:
            raise LimitError("the size of the sensor is not known yet; try again")
        await self.visit.set(self._source, "roi", ROI(row=0, column=0, rows=rows, columns=columns))
        tell(self._viewer, "clear()")
        await self._read_settings()

    async def _toggle(self) -> None:
        live = self.visit.services.live
        self.visit.session.must_be(Role.OPERATOR, "exposing all the time")
        if live.running(self._source):
            await live.stop(self._source)
        else:
            live.start(self.visit.session, self._source)

    async def _read_settings(self) -> None:
        observer = self.link.observer
        if observer is None:
            return
        before = dict(self._read)
        for setting in ("rows", "columns", "exposure_s", "roi") if "rows" not in self._read else ("exposure_s", "roi"):
            self._read[setting] = await observer.get(self._source, setting)
        # What somebody is typing stays, unless the camera has been set meanwhile.
        if self._read["exposure_s"] != before.get("exposure_s"):
            self._exposure.set_value(1000 * self._read["exposure_s"])
        if self._read["roi"] != before.get("roi"):
            for part in _PARTS:
                self._region[part].set_value(getattr(self._read["roi"], part))

    async def refresh(self) -> None:
        """Settings, but not while the camera's server serves a call; whether the page exposes."""
        if not self._is_camera or not hasattr(self, "_live"):
            return
        live = self.visit.services.live
        running = live.running(self._source)
        if running and self.visit.role >= Role.OPERATOR:
            live.heard(self._source)
        self._live.set_text("Stop exposing" if running else "Expose all the time")
        ended = "" if running else live.ended.get(self._source, "")
        self._told.set_text(
            "exposing all the time; ends when somebody takes control"
            if running
            else f"exposing ended: {ended}" if ended else "Shown is whatever is measured, by whoever measures."
        )  # fmt: skip
        busy = self.link.state.devices[self._source]["server"] in self.link.state.busy
        if self._turn % _SETTINGS_EVERY == 0 and ("roi" not in self._read or running or not busy):
            try:
                await self._read_settings()
            except LabError as error:
                self._told.set_text(f"settings are not known: {error}")
        self._turn += 1
