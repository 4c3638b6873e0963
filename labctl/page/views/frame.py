"""What is on every view: is there light, who has control, does a camera saturate; the emergency stop; the way to the
other views."""

from __future__ import annotations

from nicegui import events, ui

from labctl.bus.roles import Role
from labctl.page.views.bench import BenchView
from labctl.page.views.calibrations import CalibrationsView
from labctl.page.views.camera import CameraView
from labctl.page.views.detectors import DetectorsView
from labctl.page.views.lasers import LasersView
from labctl.page.views.log import LogView
from labctl.page.views.protocol import ProtocolView
from labctl.page.views.runs import RunsView
from labctl.page.views.slm import SlmView
from labctl.page.views.visit import View, Visit

VIEWS: dict[str, tuple[str, type[View]]] = {
    "bench": ("Bench", BenchView),
    "camera": ("Camera", CameraView),
    "slm": ("SLM", SlmView),
    "lasers": ("Lasers", LasersView),
    "detectors": ("Detectors", DetectorsView),
    "protocol": ("Protocol", ProtocolView),
    "runs": ("Runs", RunsView),
    "calibrations": ("Calibrations", CalibrationsView),
    "log": ("Log", LogView),
}
_REFRESH_S = 0.5

_STOP = """<button id="stop" class="stop" onclick="labctl.stop()" aria-keyshortcuts="Escape Escape"
aria-label="Emergency stop: every device safe, nobody in control">STOP<small>or Esc twice</small></button>"""
_STALE = """<div id="stale" role="alert">No word from the page's server: what is shown is old. STOP may not reach the
bench; use the laser's own switch, or <code>labctl stop</code>.</div>
<div id="told" role="status" aria-live="assertive"></div>"""
_SIGN_IN = """<dialog class="sign-in" id="sign-in" aria-labelledby="sign-in-title">
<form onsubmit="event.preventDefault(); labctl.signIn(this)">
<h2 id="sign-in-title">Sign in</h2>
<label for="token">Token of an operator or a laser operator</label>
<input id="token" name="token" type="password" autocomplete="off" maxlength="200" required>
<div id="sign-in-told" class="bad-text" role="alert"></div>
<div class="row"><button class="plain" type="submit">Sign in</button>
<button class="plain" type="button" onclick="this.closest('dialog').close()">Cancel</button></div>
<p class="dim">Made by <code>labctl tokens make NAME --role operator</code></p></form></dialog>"""


class Frame:
    """The head, and one view below it."""

    def __init__(self, visit: Visit, first: str, *, signing_in: bool) -> None:
        self._visit = visit
        self._name = first if first in VIEWS else "bench"
        self._signing_in = signing_in
        self._view: View | None = None
        self._role = visit.role
        self._shown: tuple[str, ...] = ()

    def build(self) -> None:
        """Make the head, and begin with the view that was asked for: STOP waits for nothing that is slow to come."""
        state = self._visit.link.state
        with ui.element("header").classes("frame-head"):
            with ui.element("div").classes("frame-line"):
                ui.html(_STOP, sanitize=False).classes("stop-place")
                ui.label(self._visit.link.bench).classes("frame-name")
                self._light = ui.label().classes("badge").props('role="status" id="light"')
                self._control = ui.label().classes("badge quiet").props('id="control"')
                self._alarm = ui.label().classes("badge tripped").props('role="status" id="alarm"')
                ui.element("div").classes("spring")
                self._who()
            ui.html(_STALE, sanitize=False)
            self._trouble = ui.label(state.trouble).props('id="trouble" role="alert"')
            with ui.tabs(on_change=lambda e: self._show(str(e.value))) as tabs:
                for name, (title, _) in VIEWS.items():
                    ui.tab(name, title).props(f'aria-label="{title}"')
            tabs.props('dense align="left" outside-arrows mobile-arrows no-caps aria-label="Views"')
        self._place = ui.element("section").classes("view").props('aria-live="off"')
        if self._signing_in:
            ui.html(_SIGN_IN, sanitize=False)
        ui.on("alive", self._alive)
        ui.on("region", self._drawn)  # here, once: what is listened to is listened to until the tab is closed
        tabs.set_value(self._name)
        self._tell()
        ui.timer(_REFRESH_S, self.refresh)
        ui.timer(_REFRESH_S, self._refresh_view)  # apart: what a view waits for must not look like a dead server

    def _who(self) -> None:
        visit = self._visit
        if visit.role > Role.OBSERVER:
            ui.label(f"{visit.session.name}, {visit.role.label}").classes("badge quiet").props('id="who"')
            ui.html('<button class="plain" onclick="labctl.signOut()">Sign out</button>', sanitize=False)
        else:
            ui.label("observer").classes("badge quiet").props('id="who"')
            if self._signing_in:
                ui.html('<button class="plain" onclick="labctl.askToken()">Sign in</button>', sanitize=False)

    async def _show(self, name: str) -> None:
        if self._view is not None:
            self._view.leave()
            ui.navigate.history.replace(f"/{name}")
        self._name = name
        self._place.clear()
        with self._place:
            # Of its own: a view that was left while it was still being made goes on in what is shown no more.
            room = ui.element("div").style("display: contents")
        with room:
            view = VIEWS[name][1](self._visit)
            self._view = view
            await view.build()
        if self._view is view:
            self._place.props(f'data-view="{name}"')
            with room:
                await view.refresh()

    def _alive(self) -> None:
        if self._visit.control is not None:
            self._visit.control.heard()

    def _drawn(self, event: events.GenericEventArguments) -> None:
        if self._view is not None:
            self._view.drawn(event.args)

    async def refresh(self) -> None:
        """Show what has changed, and tell the browser that this process is there."""
        control = self._visit.control
        if control is not None:
            await control.settle()
        held = control is not None and bool(control.devices)
        ui.run_javascript(f"labctl.beat({'true' if held else 'false'})")
        if self._visit.role != self._role:  # revoked, over, or signed out elsewhere
            ui.navigate.reload()
            return
        self._tell()

    def _tell(self) -> None:
        state, control = self._visit.link.state, self._visit.control
        if not state.known:
            light, kind = "light: not known", "unknown"
        elif state.lit:
            light, kind = f"LIGHT ON: {', '.join(state.lit)}", "lit"
        elif state.unknown:
            light, kind = f"light: not known ({', '.join(state.unknown)} silent)", "unknown"
        else:
            light, kind = "dark", "dark"
        holders = "; ".join(f"{lease['run'] or lease['holder']}" for lease in state.leases) or "nobody in control"
        if control is not None and control.lost:
            holders = f"your control ended: {control.lost.removeprefix('the lease is lost: ')}"
        tripped = [one["name"] for one in state.interlocks if one["tripped"]]
        alarm = f"TRIPPED: {', '.join(tripped)}" if tripped else ""
        shown = (light, kind, holders, alarm, state.trouble)
        if shown != self._shown:
            self._shown = shown
            self._light.set_text(light)
            self._light.classes(replace=f"badge {kind}")
            self._control.set_text(holders)
            self._control.props["title"] = holders
            self._control.update()
            self._alarm.set_text(alarm)
            self._alarm.set_visibility(bool(alarm))
            self._trouble.set_text(state.trouble)
            self._trouble.set_visibility(not state.connected)

    async def _refresh_view(self) -> None:
        if self._view is not None:
            with self._place:
                await self._view.refresh()

    def leave(self) -> None:
        """The tab was closed, or loads another page."""
        view, self._view = self._view, None
        if view is not None:
            view.leave()
