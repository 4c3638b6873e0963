"""Lasers: whether they emit, power and limits, what interlocks allow, and, for laser operators, light.

Light needs control, and control lasts only while this browser says twice a second that it is there (`link.control`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.element import Element

from drivers.contract import SettingInfo
from drivers.errors import ConfigurationError, LabError, LimitError
from drivers.quantity import parse_quantity
from labctl.bench.client import Bench
from labctl.bus.roles import Role
from labctl.bus.together import this_user
from labctl.page.link.control import LEASE_S
from labctl.page.views.bench import LASERS, told_of
from labctl.page.views.visit import View, Visit, button, heading
from labctl.safety import desk

_SETTINGS_EVERY = 3


@dataclass
class _Card:
    device: str
    settings: list[SettingInfo]
    card: Element
    state: ui.label
    said: ui.label
    rules: Element
    read: ui.label
    shown: tuple[str, ...] = ()


class LasersView(View):
    """A card for each laser."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        self._cards: list[_Card] = []
        self._turn = 0

    async def build(self) -> None:
        """Make the cards."""
        state, observer = self.link.state, self.link.observer
        lasers = [name for name, told in state.devices.items() if told["kind"] in LASERS]
        if not lasers or observer is None:
            ui.label("This bench has no laser." if state.connected else "The bench is not there.")
            return
        with ui.element("div").classes("cards"):
            for laser in lasers:
                try:
                    settings = (await observer.describe(laser)).settings
                except LabError as error:
                    ui.label(f"{laser}: {error}").classes("bad-text")
                    continue
                self._card(laser, state.devices[laser]["kind"], settings)
        ui.label(
            f"Control is kept while this page is open and heard of; {LEASE_S:g} s after that, lasers are dark. "
            "A tab in the background is slowed down by the browser and may lose control."
        ).classes("dim")

    def _card(self, laser: str, kind: str, settings: list[SettingInfo]) -> None:
        visit = self.visit
        with ui.element("div").classes("card") as card:
            heading(f"{laser} ({kind})")
            state = ui.label().classes("big").props(f'id="state-{laser}" role="status"')
            said = ui.label().classes("dim")
            with ui.element("div").classes("row"):
                button("Take control", visit, lambda: self._take(laser), Role.LASER_OPERATOR)
                button("Emission on", visit, lambda: self._emission(laser, True), Role.LASER_OPERATOR, colour="amber-9")
                button("Emission off", visit, lambda: self._emission(laser, False), Role.OPERATOR, colour="grey-8")
                button("Give back", visit, self._give_back, Role.OPERATOR, colour="grey-8")
            for setting in settings:
                if setting.value_type == "float" and not setting.read_only and setting.name.startswith("power"):
                    self._power(laser, setting)
            heading("Interlocks")
            rules = ui.column().classes("w-full gap-1")
            with ui.element("div").classes("row"):
                button("Arm for an hour", visit, lambda: self._arm(laser), Role.LASER_OPERATOR, colour="grey-8")
                button("Disarm", visit, lambda: self._disarm(laser), Role.OBSERVER, colour="grey-8")
                button("Acknowledge", visit, self._acknowledge, Role.LASER_OPERATOR, colour="grey-8")
            read = ui.label().classes("mono dim")
        self._cards.append(_Card(laser, settings, card, state, said, rules, read))

    def _power(self, laser: str, setting: SettingInfo) -> None:
        visit = self.visit
        unit = setting.unit if setting.unit != "1" else "fraction"
        low, high = setting.limits.minimum, setting.limits.maximum
        bounds = f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}"
        with ui.element("div").classes("row"):
            field = ui.number(f"{setting.name} ({unit}, {bounds})", min=low, max=high, step=0.01, format="%.6g").props(
                "dense"
            )
            field.style("flex: 1 1 12em")

            async def write() -> None:
                if field.value is None:
                    raise LimitError(f"no value is given for {setting.name}")
                await visit.set(laser, setting.name, float(field.value))

            button("Set", visit, write, Role.OPERATOR)
        if visit.role < Role.OPERATOR:
            field.disable()

    async def _take(self, laser: str) -> None:
        self.visit.session.must_be(Role.LASER_OPERATOR, "control of a laser")
        assert self.visit.control is not None
        await self.visit.control.take(laser)

    async def _give_back(self) -> None:
        if self.visit.control is not None:
            await self.visit.control.give_back()

    async def _emission(self, laser: str, on: bool) -> None:
        control = self.visit.control
        if on:
            self.visit.session.must_be(Role.LASER_OPERATOR, "light")
            if control is None or laser not in control.devices:
                raise ConfigurationError(f"take control of {laser} first")
            await control.act(lambda bench: setattr(bench[laser], "emission", True))
        else:
            await self.visit.set(laser, "emission", False)

    async def _arm(self, laser: str) -> None:
        self.visit.session.must_be(Role.LASER_OPERATOR, "arming")
        bench = await self.link.bench_for(self.visit.role)
        controls, by = controls_of(bench), self._by()
        await self.link.in_thread(lambda: desk.arm(controls, [laser], parse_quantity("1 h", "s"), by))

    async def _disarm(self, laser: str) -> None:
        bench = await self.link.bench_for(self.visit.role)
        controls, by = controls_of(bench), self._by()
        await self.link.in_thread(lambda: desk.disarm(controls, [laser], by))

    async def _acknowledge(self) -> None:
        self.visit.session.must_be(Role.LASER_OPERATOR, "acknowledging an interlock")
        bench = await self.link.bench_for(self.visit.role)
        controls, by = controls_of(bench), self._by()
        await self.link.in_thread(lambda: desk.acknowledge(controls, by=by))

    def _by(self) -> str:
        """Who does it, for the log: the person, not only the user that this server runs as."""
        return this_user(f"{self.visit.session.name or 'somebody'} at the page")

    async def refresh(self) -> None:
        """State at once; settings, which ask the laser's server, less often."""
        state, control = self.link.state, self.visit.control
        for card in self._cards:
            emission = state.devices.get(card.device, {}).get("emission") if state.known else None
            word = {True: "EMITS", False: "dark", None: "not known"}[emission]
            held = control is not None and card.device in control.devices
            holder = next((one["holder"] for one in state.leases if card.device in one["devices"]), "")
            said = "you have control" if held else f"controlled by {holder}" if holder else "nobody in control"
            if control is not None and control.lost:
                said = f"your control ended: {control.lost}"
            rules = [told_of(one) for one in state.interlocks if card.device in one["guards"]] or ["none"]
            if (word, said, *rules) != card.shown:
                card.shown = (word, said, *rules)
                card.card.classes(replace=f"card{' lit' if emission else ''}")
                card.state.set_text(word)
                colour = {True: "lit-text", False: "good-text", None: "bad-text"}[emission]
                card.state.classes(replace=f"big {colour}")
                card.said.set_text(said)
                card.rules.clear()
                with card.rules:
                    for rule in rules:
                        ui.label(rule).classes("bad-text" if "TRIPPED" in rule else "dim")
            if self._turn % _SETTINGS_EVERY == 0:
                await self._read(card)
        self._turn += 1

    async def _read(self, card: _Card) -> None:
        observer = self.link.observer
        server = self.link.state.devices.get(card.device, {}).get("server", "")
        if observer is None or server in self.link.state.busy:
            return  # a loop that is being served is not kept waiting
        lines = []
        try:
            for one in card.settings:
                if one.value_type in ("float", "int", "bool", "str"):
                    value = await observer.get(card.device, one.name)
                    lines.append(f"{one.name} = {_spelt(value)}{'' if one.unit in (None, '1') else f' {one.unit}'}")
        except LabError as error:
            lines = [f"settings are not known: {error}"]
        card.read.set_text("\n".join(lines))


def controls_of(bench: Bench) -> desk.Controls:
    """The control lanes of its servers."""
    return {name: server.control for name, server in bench.servers.items()}


def _spelt(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
