"""A simulated bench that is up, its page, and Debian's Chromium: for the benchmark, the tests and the pictures of the
page."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.page.access import tokens
from labctl.page.link.link import Link

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BENCH = """
[bench]
name = "stage"
world = "rail"
clock = "real"
lease = "5 s"

[world]
seed = 7
pump_share = {share}

[devices.slm]
kind = "slm"
backend = "simulated"
settle = "5 ms"
base_settle = "5 ms"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "{exposure}"
roi = {{ row = 824, column = 960, rows = {rows}, columns = {columns} }}

[devices.pump]
kind = "pump"
backend = "simulated"
power = "1 W"
limits.power = {{ max = "5 W" }}

[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
integration = "1 ms"

[servers.lasers]
devices = ["pump"]

[servers.detectors]
devices = ["slm", "camera", "meter"]

[interlocks.key]
rule = "armed"
for = "8 h"
"""
CHROMIUM = "/usr/bin/chromium"
# Without these Chromium asks its maker's servers for this and that, which a lab's machine does not reach.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip
PATIENCE_S = 90.0
_LABCTL = [sys.executable, "-m", "labctl"]
_FOLDERS = {"LABCTL_RUNTIME": "run", "LABCTL_LOGS": "logs", "LABCTL_KEYS": "keys", "LABCTL_INTERLOCKS": "interlocks",
            "LABCTL_CALIBRATIONS": "calibrations"}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """folder: of all that it keeps; environment: for processes that are to find the bench."""

    folder: Path
    bench_file: Path
    environment: Mapping[str, str]
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Folder of run files."""
        return self.folder / "runs"

    @contextlib.contextmanager
    def page(self, *options: str) -> Iterator[Served]:
        """A page of the bench."""
        command = [*_LABCTL, "page", "stage", "--port", "0", "--out", str(self.out), *options]
        with _process(command, self.environment) as child:
            line = _next_line(child)
            yield Served(child, line.split()[-1])


@dataclass(frozen=True)
class Served:
    """A page's process and address."""

    child: subprocess.Popen[str]
    url: str


_WATCHER = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], origin=sys.argv[2], max_size=None, compression=None) as socket:
    print("watching", flush=True)
    while True:
        socket.send('{"most": 800, "stretch": true}')
        socket.recv()
"""


@contextlib.contextmanager
def watcher(url: str, device: str) -> Iterator[None]:
    """Somebody who asks for pictures as a browser does, and draws none: as it is with a browser on another machine."""
    address = url.replace("http", "ws", 1) + f"feed/{device}"
    with _process([sys.executable, "-c", _WATCHER, address, url.rstrip("/")], os.environ) as child:
        _next_line(child)
        yield


def settings(**changed: Any) -> dict[str, Any]:
    """What the bench file is made with."""
    return {"share": "5e-11", "exposure": "2 ms", "rows": 512, "columns": 640, **changed}


@contextlib.contextmanager
def stage(folder: Path, **changed: Any) -> Iterator[Stage]:
    """The bench, up, with tokens for an operator and a laser operator."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{v: str(folder / name) for v, name in _FOLDERS.items()}}
    environment.pop("LABCTL_AT", None)
    for name in _FOLDERS.values():
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    file = folder / "stage.toml"
    file.write_text(BENCH.format(**settings(**changed)))
    made = Stage(folder, file, environment)
    with _environment(environment):
        for name, role in (("oscar", "operator"), ("laura", "laser-operator")):
            made.tokens[role] = tokens.make(name, role)
    with _process([*_LABCTL, "up", str(file)], environment) as child:
        _next_line(child)
        yield made


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[Link]:
    """What a page's server is connected with, in this process."""
    link = Link("stage")
    keeping = asyncio.create_task(link.keep())
    try:
        while not link.state.connected:
            await asyncio.wait_for(link.changed.wait(), 60)
        yield link
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        link.close()


def at_the_page(what: Callable[[Link], Awaitable[Any]]) -> Any:
    """Do something there."""

    async def go() -> Any:
        async with connected() as link:
            return await asyncio.wait_for(what(link), PATIENCE_S)

    return asyncio.run(go())


def sign_in(page: Page, token: str) -> None:
    """As a person would."""
    page.get_by_role("button", name="Sign in").first.click()
    page.fill("#token", token)
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector("#who:has-text('operator')")


def look(page: Page, view: str) -> None:
    """Go to a view by its tab."""
    page.get_by_role("tab", name=view, exact=True).click()
    page.wait_for_selector(f"[data-view={view.lower()}]")


def light_up(page: Page) -> None:
    """What a laser operator does for light."""
    look(page, "Lasers")
    page.get_by_role("button", name="Arm for an hour").click()
    page.get_by_text("pump armed by").wait_for()
    page.get_by_role("button", name="Take control").click()
    page.get_by_text("you have control").wait_for()
    page.get_by_role("button", name="Emission on").click()
    page.wait_for_selector("#light:has-text('LIGHT ON')")


@contextlib.contextmanager
def _process(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


def _next_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], PATIENCE_S)
    line = child.stdout.readline() if ready else ""
    if not line:
        raise RuntimeError(f"{child.args} said nothing")
    return line.strip()
