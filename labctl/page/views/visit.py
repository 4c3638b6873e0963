"""One browser's visit: who it is, what it may use, and how its errors are told."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from drivers.errors import LabError
from labctl.bus.roles import Role
from labctl.page.access.sessions import Session, Sessions
from labctl.page.feed.hub import Hub
from labctl.page.feed.traces import Traces
from labctl.page.link.calibrations import Calibrations
from labctl.page.link.control import Control
from labctl.page.link.link import Link
from labctl.page.link.live import Live
from labctl.page.runs.listing import Listing
from labctl.page.runs.runner import Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What all visits share."""

    link: Link
    sessions: Sessions
    hub: Hub
    traces: Traces
    live: Live
    runner: Runner
    listing: Listing
    calibrations: Calibrations
    out: Path


class Visit:
    """One browser, until its tab is closed or loaded again."""

    def __init__(self, services: Services, session: Session, control: Control | None) -> None:
        self.services = services
        self.link = services.link
        self.session = session
        self.control = control

    @property
    def role(self) -> Role:
        """What this visitor may do now."""
        return self.session.role

    def does(self, act: Callable[[], Awaitable[object] | None], done: str = "") -> Callable[[], Awaitable[None]]:
        """A handler of a click: what goes wrong is told to the visitor, and so, if given, is ``done``."""

        async def handler() -> None:
            try:
                waiting = act()
                if inspect.isawaitable(waiting):
                    await waiting
            except LabError as error:
                tell_failure(str(error))
            except Exception as error:  # a click that did nothing must not look like one that did
                log.exception("page: a request of %s failed", self.session.name or "somebody")
                tell_failure(f"this did not succeed: {type(error).__name__}: {error}")
            else:
                if done:
                    ui.notify(done, type="positive", position="bottom")

        return handler

    async def set(self, device: str, setting: str, value: Any) -> None:
        """Write a setting of a device, in this visitor's role, and under their control if they have it."""
        self.session.must_be(Role.OPERATOR, f"changing {device}.{setting}")
        if self.control is not None and device in self.control.devices:
            await self.control.act(lambda bench: setattr(bench[device], setting, value))
            return
        bench = await self.link.bench_for(self.role)
        await self.link.in_thread(lambda: setattr(bench[device], setting, value))


def tell_failure(text: str) -> None:
    """An error, which stays until it is read."""
    ui.notify(text, type="negative", position="bottom", multi_line=True, close_button="OK", timeout=12_000)


def button(
    text: str,
    visit: Visit,
    act: Callable[[], Awaitable[object] | None],
    role: Role,
    *,
    done: str = "",
    colour: str = "primary",
) -> ui.button:
    """A button for who has at least a role; for others it is greyed out and says for whom it is."""
    made = ui.button(text, on_click=visit.does(act, done), color=colour).props("no-caps unelevated")
    if visit.role < role:
        made.disable()
        made.tooltip(f"for {role.label}s: sign in with a token").props(f'aria-label="{text}, for {role.label}s"')
    return made


def table(rows: list[tuple[str, str]]) -> Element:
    """Names and values."""
    with ui.element("table").classes("plain") as made, ui.element("tbody"):
        for name, value in rows:
            with ui.element("tr"):
                with ui.element("th"):
                    ui.label(name).classes("dim")
                with ui.element("td"):
                    ui.label(value)
    return made


def heading(text: str) -> Element:
    """A heading within a view or card."""
    with ui.element("h2") as made:
        ui.label(text)
    return made


def picture(source: str, what: str) -> Element:
    """A picture that this server draws, and what it shows in words."""
    made = ui.element("img").classes("picture-of-run")
    made.props["src"], made.props["alt"] = source, what  # names of files are no mark-up
    return made


class View:
    """Base of the views. `build` is called once within its place, `refresh` twice a second, `leave` at its end."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.link = visit.link

    async def build(self) -> None:
        """Make the elements."""

    async def refresh(self) -> None:
        """Show what has changed."""

    def drawn(self, region: dict[str, Any]) -> None:
        """A region was drawn in a picture: row, column, rows, columns, in pixels of the sensor."""

    def leave(self) -> None:
        """The visitor looks elsewhere. Called once."""
