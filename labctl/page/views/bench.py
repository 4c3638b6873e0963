"""The bench as a whole: every device, who has control of it, and the health of every server."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from labctl.page.link.link import State
from labctl.page.views.visit import View, heading

_DEVICES = [("device", "device"), ("kind", "kind"), ("backend", "backend"), ("server", "server"), ("light", "light"),
            ("control", "control")]  # fmt: skip
_PROCESSES = [("process", "process"), ("health", "health"), ("pid", "pid"), ("deaths", "deaths"),
              ("handled", "handled"), ("lapsed", "lapsed leases"), ("stops", "emergency stops"),
              ("refused", "refused")]  # fmt: skip
_SILENT_S = 2.0
LASERS = ("pump", "supercontinuum")
"""Kinds that emit."""


class BenchView(View):
    """Tables of devices, leases, interlocks and processes."""

    async def build(self) -> None:
        """Make them."""
        heading("Devices")
        self._devices = _table(_DEVICES, "device")
        with ui.element("div").classes("cards"):
            with ui.element("div").classes("card"):
                heading("Control")
                self._leases = ui.column().classes("w-full gap-1")
            with ui.element("div").classes("card"):
                heading("Interlocks")
                self._interlocks = ui.column().classes("w-full gap-1")
        heading("Processes")
        self._processes = _table(_PROCESSES, "process")
        self._said: list[str] = []

    async def refresh(self) -> None:
        """Fill them."""
        state = self.link.state
        _fill(self._devices, devices(state))
        _fill(self._processes, processes(state))
        leases = [_lease(one) for one in state.leases] or ["nobody in control"]
        rules = [told_of(one) for one in state.interlocks] or ["this bench has no interlocks"]
        if [*leases, *rules] != self._said:
            self._said = [*leases, *rules]
            for place, texts in ((self._leases, leases), (self._interlocks, rules)):
                place.clear()
                with place:
                    for text in texts:
                        ui.label(text).classes("bad-text" if "TRIPPED" in text else "")


def _lease(one: dict[str, Any]) -> str:
    run = f", run {one['run']}" if one["run"] else ""
    return f"{one['holder']}{run}: {', '.join(one['devices'])}; a lease of {one['ttl_s']:g} s, renewed again and again"


def told_of(one: dict[str, Any]) -> str:
    """An interlock in one line."""
    state = "TRIPPED" if one["tripped"] else str(one["state"])
    armed = [f"{device} armed by {a['by']}" if a["armed"] else f"{device}: {a['why']}"
             for device, a in one.get("armed", {}).items() if a["armed"] or a["why"]]  # fmt: skip
    dose = f"{one['dose_j']:.4g} of {one['limit_j']:.4g} J" if "dose_j" in one else ""
    why = one["reason"] or ", ".join(armed) or dose
    return f"{one['name']} ({one['rule']}; {', '.join(one['guards'])}): {state}{f'. {why}' if why else ''}"


def devices(state: State) -> list[dict[str, str]]:
    """Rows of the table of devices."""
    holder = {device: lease["run"] or lease["holder"] for lease in state.leases for device in lease["devices"]}
    words = {True: "ON", False: "dark", None: "not known"}

    def light(told: dict[str, Any]) -> str:
        return words[told["emission"]] if told["kind"] in LASERS or told["emission"] else ""

    return [
        {"device": name, "kind": told["kind"], "backend": told["backend"], "server": told["server"],
         "light": light(told), "control": holder.get(name, "")}
        for name, told in state.devices.items()
    ]  # fmt: skip


def processes(state: State) -> list[dict[str, str]]:
    """Rows of the table of processes, servers that do not answer among them."""
    rows = []
    for name in dict.fromkeys([*state.processes, *state.servers]):
        process, server = state.processes.get(name, {}), state.servers.get(name, {})
        counts, heard = server.get("counts", {}), process.get("heard_s")
        refused = sum(counts.get(what, 0) for what in ("malformed", "oversized", "expired", "repeated", "refused"))
        if "error" in server:
            health = f"does not answer: {server['error']}"
        elif heard is not None and heard > _SILENT_S:
            health = f"SILENT for {heard:.0f} s"
        else:
            health = "busy" if server.get("busy") else "well"
        rows.append(
            {"process": name, "health": health, "pid": str(process.get("pid") or server.get("pid", "")),
             "deaths": str(process.get("deaths", "")), "handled": str(counts.get("handled", "")),
             "lapsed": str(server.get("lapsed", "")), "stops": str(server.get("stopped", "")),
             "refused": str(refused) if server else ""}
        )  # fmt: skip
    return rows


def _table(columns: list[tuple[str, str]], key: str) -> ui.table:
    told = [{"name": name, "label": label, "field": name, "align": "left"} for name, label in columns]
    made = ui.table(columns=told, rows=[], row_key=key).classes("w-full").props("dense flat hide-pagination")
    made.props(':rows-per-page-options="[0]"')
    return made


def _fill(made: ui.table, rows: list[dict[str, str]]) -> None:
    if made.rows != rows:
        made.rows = rows
        made.update()
