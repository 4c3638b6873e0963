"""The running protocol, with progress, live numbers and pictures; and a form to start one."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from nicegui import events, ui
from nicegui.elements.mixins.validation_element import ValidationElement

from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bus.roles import Role
from labctl.page.runs.form import Field, Form, form_of
from labctl.page.runs.metrics import Metrics, metrics_of
from labctl.page.views.visit import View, Visit, button, heading, picture, table

_METRICS_EVERY_S = 2.0
_TIMES = 10
"""How much longer than it took to read them numbers are left alone: those of a long run take long."""


class ProtocolView(View):
    """What runs, beside what can be started."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._form: Form | None = None
        self._inputs: dict[str, Any] = {}
        self._again_s = 0.0
        self._read: tuple[Path, int, int] | None = None
        self._drawn: tuple[Path, tuple[str, ...]] | None = None
        self._shown: tuple[object, ...] = ()
        self._lines: list[str] = []

    async def build(self) -> None:
        """Make both."""
        with ui.element("div").classes("two"):
            with ui.element("div").classes("card"):
                heading("Running")
                self._title = ui.label().classes("big").props('id="run-title" role="status"')
                self._why = ui.label().classes("dim")
                self._bar = ui.linear_progress(0, show_value=False, size="18px").props(
                    'aria-label="progress of the run"'
                )
                self._steps = ui.label().classes("dim").props('id="run-steps"')
                self._stop = button("Stop the run", self.visit, self._end, Role.OPERATOR, colour="grey-8")
                self._numbers = ui.element("div").classes("w-full")
                self._chart = ui.echart(chart(None)).style("height: 240px; width: 100%")
                self._chart.props('role="img" aria-label="numbers of the run by step"')
                self._pictures = ui.element("div").classes("w-full")
                self._told = ui.label().classes("mono dim")
            with ui.element("div").classes("card"):
                heading("Start a protocol")
                self._choice = ui.select(
                    list(registry.names("labctl.protocols")), label="protocol", with_input=True, on_change=self._chosen
                )
                self._place = ui.element("div").classes("w-full")

    # --- start ------------------------------------------------------------------------------------------------------

    async def _chosen(self, event: events.ValueChangeEventArguments[Any]) -> None:
        name = str(event.value or "")
        self._form, self._inputs = None, {}
        self._place.clear()
        if not name:
            return
        try:
            form = await self.link.apart(lambda: form_of(name))
        except ConfigurationError as error:
            with self._place:
                ui.label(str(error)).classes("bad-text")
            return
        self._form = form
        with self._place:
            self._show_form(form)

    def _show_form(self, form: Form) -> None:
        summary, _, rest = form.doc.partition("\n\n")
        ui.label(" ".join(summary.split()))
        if rest:
            with ui.expansion("more about it").classes("w-full"):
                ui.label(rest).classes("dim").style("white-space: pre-line")
        if form.bench != self.link.bench:
            ui.label(f"It is made for bench {form.bench}; this is {self.link.bench}.").classes("lit-text")
        devices = list(self.link.state.devices)
        for field in form.fields:
            self._inputs[field.name] = _input(field, devices)
        self._seed = ui.number("seed", value=0, min=0, format="%d").props("dense")
        button("Start", self.visit, self._start, Role.OPERATOR, done="started")

    async def _start(self) -> None:
        form, inputs = self._form, self._inputs
        assert form is not None
        entered = {name: entry.value for name, entry in inputs.items()}
        wrong = await self.link.apart(lambda: form.wrong(entered))
        for name, entry in inputs.items():
            if isinstance(entry, ValidationElement):  # beside it, until it is changed; a switch is never wrong
                entry.error = wrong.get(name)
        seed = self._seed.value or 0
        if seed != int(seed) or not 0 <= seed < 2**63:
            wrong["seed"] = self._seed.error = "a whole number from 0 to 2^63 - 1 is needed"
        if wrong:
            raise ConfigurationError("; ".join(f"{name}: {text}" for name, text in wrong.items()))
        await self.visit.services.runner.start(self.visit.session, form.protocol, form.given(entered), int(seed))

    async def _end(self) -> None:
        await self.visit.services.runner.stop(self.visit.session)

    # --- what runs --------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Progress at once, numbers from the run file every two seconds."""
        run = self.visit.services.runner.run
        others = [one for one in self.link.state.leases if one["run"]]
        file = run.file if run is not None else None
        if run is not None and (run.alive or not others):
            title, why = f"{run.protocol}: {run.status}", run.why or f"started by {run.by}"
            done, total, label = run.done, run.total, run.label
            lines = list(run.lines)[-8:]
        elif others:
            title, why, done, total, label, lines = others[0]["run"], f"by {others[0]['holder']}", 0, 0, "", []
            file = self.visit.services.out / f"{Path(others[0]['run']).name}.h5"
        else:
            title, why, done, total, label, lines = "nothing", "no run was started from here", 0, 0, "", []
        shown = (title, why, done, total, label, *lines)
        if shown != self._shown:
            self._shown = shown
            self._title.set_text(title)
            self._why.set_text(why)
            self._bar.set_value(done / total if total else 0.0)
            self._bar.set_visibility(total > 0)
            self._steps.set_text(f"{label} {done} of {total}" if total else "")
            self._told.set_text("\n".join(lines))
            self._stop.set_visibility(run is not None and run.alive)
        if file is not None and time.monotonic() > self._again_s:
            begun = time.monotonic()
            self._again_s = math.inf
            try:
                await self._measure(file)
            finally:
                self._again_s = time.monotonic() + max(_METRICS_EVERY_S, _TIMES * (time.monotonic() - begun))
        elif file is None:
            self._chart.set_visibility(False)

    async def _measure(self, file: Path) -> None:
        try:
            now = await self.link.apart(lambda: _place(file))
            if now is not None and now == self._read:
                return
            found = await self.link.apart(lambda: metrics_of(file))
        except LabError as error:
            self._steps.set_text(f"its file cannot be read: {error}")
            return
        self._read = now
        self._chart.set_visibility(bool(found.series))
        self._chart.options.clear()
        self._chart.options.update(chart(found))
        self._chart.update()
        self._numbers.clear()
        with self._numbers:
            rows = [("run file", file.name), ("steps saved", str(found.steps))]
            rows += [(name, f"{values[-1]:.6g}") for name, values in found.series.items() if len(values)]
            rows += [(name, f"{value:.6g}") for name, value in found.results.items()]
            table(rows)
        if (file, found.pictures) != self._drawn:  # else the browser would fetch them again each time
            self._drawn = (file, found.pictures)
            self._pictures.clear()
            with self._pictures:
                show_pictures(file.name, found.pictures)


def _place(file: Path) -> tuple[Path, int, int] | None:
    """What differs when a run file was written to; None if that cannot be known."""
    try:
        status = file.stat()
    except OSError:
        return None
    return file, status.st_mtime_ns, status.st_size


def show_pictures(run: str, pictures: tuple[str, ...]) -> None:
    """Pictures that a run has drawn."""
    for name in pictures:
        picture(f"/runs/{quote(run)}/picture/{quote(name)}", name)


def chart(found: Metrics | None) -> dict[str, Any]:
    """Numbers of a run by step, each divided by its largest, so that all are seen."""
    axis = {"axisLabel": {"color": "#8b99a5"}, "splitLine": {"lineStyle": {"color": "#1d242a"}}}
    series = []
    for name, values in (found.series if found else {}).items():
        largest = float(np.nanmax(np.abs(values))) if len(values) and np.isfinite(values).any() else 0.0
        scaled = values / largest if largest > 0 else values
        points = [[int(k), float(v)] for k, v in zip(found.at if found else (), scaled, strict=True) if np.isfinite(v)]
        label = f"{name} / {largest:.3g}" if largest > 0 else name
        series.append({"type": "line", "name": label, "showSymbol": False, "data": points})
    return {
        "animation": False, "series": series,
        "legend": {"textStyle": {"color": "#cfd8df"}, "type": "scroll", "top": 0, "left": 0},
        "grid": {"left": 50, "right": 16, "top": 34, "bottom": 34},
        "xAxis": {"type": "value", "name": "step", **axis}, "yAxis": {"type": "value", "scale": True, **axis},
    }  # fmt: skip


def _input(field: Field, devices: list[str]) -> Any:
    hint = ", ".join(part for part in (field.doc, field.bounds) if part)
    label = f"{field.name}{' (needed)' if field.needed else ''}"
    if field.kind == "switch":
        return ui.switch(f"{label}: {hint}" if hint else label, value=field.shown == "true")
    made: Any
    if field.kind == "choice":
        made = ui.select(list(field.choices), value=field.shown or None, label=label)
    else:
        made = ui.input(label, value=field.shown, autocomplete=devices if field.kind == "text" else None)
        if field.kind == "number":
            made.props('inputmode="decimal"')
    made.props("dense hide-bottom-space")
    if hint:
        made.props["hint"] = hint
    return made
