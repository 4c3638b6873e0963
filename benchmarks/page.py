"""The page: what a running loop loses while somebody watches it, pictures shown, and how fast STOP makes dark.

The loop triggers a simulated camera of 512 x 640 pixels in real time (10 ms exposures), over the bus, in this process.
It runs in turns of some seconds: a page that nobody watches, then the same page with a real Chromium at its camera view
on the same machine, and so on, so that a machine that is slower for a while is so for both. Ratios are medians over
rounds of neighbours' ratios. On a machine that is busy with other things, times are of those things; what the camera's
server, the page and the browser take of the processor is their own. Pictures are counted when the browser has drawn
them. Rows:

- "loop, …": time of one turn, nobody watching, watched from elsewhere (pictures are asked for and not drawn, as with a
  browser on another machine), watched in Chromium on this machine; ratio to nobody watching.
- "server, …": processor time of the camera's server for one turn; ratio likewise.
- "pictures shown": time from one to the next; ratio: pictures per second over the 20 that are promised.
- "page, per picture", "browser, per picture": processor time of each; ratio: share of one processor at 20 per second.
- "stop": from the click until the browser has the answer that everything is safe; ratio of the worst to 200 ms.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page_stage import Stage, chromium, light_up, look, sign_in, stage, watcher
from labctl import open_bench
from labctl.bench.client import Bench

_ROUNDS = 10
_TURN_S = 4.0
_SETTLE_S = 1.0
_STOPS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


def rows() -> list[dict[str, Any]]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="labctl-page-") as folder, stage(Path(folder), exposure="10 ms") as made:
        os.environ.update({k: v for k, v in made.environment.items() if k.startswith("LABCTL_")})
        with open_bench(made.bench_file) as bench:
            return [*_watched(made, bench), *_stopped(made, bench)]


def _watched(made: Stage, bench: Bench) -> list[dict[str, Any]]:
    server = bench.status()["detectors"]["pid"]
    alone: list[tuple[float, float]] = []
    elsewhere: list[tuple[float, float]] = []
    watched: list[tuple[float, float]] = []
    shown: list[float] = []
    page_s: list[float] = []
    browser_s: list[float] = []
    with made.page() as page, chromium() as browser, bench.control("benchmark", lease_s=30):
        visitor = browser.new_page(viewport={"width": 1280, "height": 800})
        for _ in range(_ROUNDS):
            visitor.goto("about:blank")
            _loop(bench, server, _SETTLE_S)
            alone.append(_loop(bench, server, _TURN_S))
            with watcher(page.url, "camera"):
                _loop(bench, server, _SETTLE_S)
                elsewhere.append(_loop(bench, server, _TURN_S))
            bench.renew()
            visitor.goto(page.url)
            bench.renew()
            look(visitor, "Camera")
            _loop(bench, server, _SETTLE_S)
            count, used = visitor.evaluate("labctl.shown.camera"), (_processor_s(page.child.pid), _browser_s())
            begun = time.perf_counter()
            watched.append(_loop(bench, server, _TURN_S))
            took = time.perf_counter() - begun
            pictures = max(1, visitor.evaluate("labctl.shown.camera") - count)
            shown.append(took / pictures)
            page_s.append((_processor_s(page.child.pid) - used[0]) / pictures)
            browser_s.append((_browser_s() - used[1]) / pictures)
    return [
        _row("loop, nobody watches", [turn for turn, _ in alone], 1.0),
        _row("loop, watched elsewhere", [turn for turn, _ in elsewhere], _ratio(elsewhere, alone, 0)),
        _row("loop, watched here", [turn for turn, _ in watched], _ratio(watched, alone, 0)),
        _row("server, nobody watches", [cpu for _, cpu in alone], 1.0),
        _row("server, watched elsewhere", [cpu for _, cpu in elsewhere], _ratio(elsewhere, alone, 1)),
        _row("server, watched here", [cpu for _, cpu in watched], _ratio(watched, alone, 1)),
        _row("pictures shown", shown, 1 / float(np.median(shown)) / 20.0),
        _row("page, per picture", page_s, 20 * float(np.median(page_s))),
        _row("browser, per picture", browser_s, 20 * float(np.median(browser_s))),
    ]


def _loop(bench: Bench, server: int, for_s: float) -> tuple[float, float]:
    """Time of one turn (s), and processor time of the camera's server for one (s)."""
    begun, used, turns = time.perf_counter(), _processor_s(server), 0
    while time.perf_counter() - begun < for_s:
        frame = bench.camera.trigger()
        turns += 1
        del frame
    return (time.perf_counter() - begun) / turns, (_processor_s(server) - used) / turns


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _browser_s() -> float:
    """Processor time of all of Chromium's processes."""
    used = 0.0
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and (place / "comm").read_text().strip() == "chromium":
                used += _processor_s(int(place.name))
        except OSError:  # it has just ended
            continue
    return used


def _ratio(these: list[tuple[float, float]], those: list[tuple[float, float]], which: int) -> float:
    return float(np.median([a[which] / b[which] for a, b in zip(these, those, strict=True)]))


def _stopped(made: Stage, bench: Bench) -> list[dict[str, Any]]:
    times = []
    with made.page() as page, chromium() as browser:
        visitor = browser.new_page(viewport={"width": 1280, "height": 800})
        visitor.goto(page.url)
        sign_in(visitor, made.tokens["laser-operator"])
        for _ in range(_STOPS):
            light_up(visitor)
            times.append(_dark_after(visitor, bench))
            visitor.wait_for_selector("#light:has-text('dark')")
    return [_row("stop: from the click to dark", times, float(np.max(times)) / 0.2)]


def _dark_after(visitor: Any, bench: Bench) -> float:
    """Seconds from the click until the browser has the answer: that every server says its devices are safe."""
    assert bench.pump.emission
    took = visitor.evaluate(
        """async () => { const begun = performance.now(); document.getElementById("stop").click();
        while (!document.querySelector("#told.good")) await new Promise((r) => setTimeout(r, 2));
        return (performance.now() - begun) / 1000; }"""
    )
    assert not bench.pump.emission
    visitor.evaluate("document.getElementById('told').className = ''")
    return float(took)


def _row(name: str, times: list[float], ratio: float) -> dict[str, Any]:
    us = 1e6 * np.asarray(times)
    return {"name": name, "median_us": float(np.median(us)), "p99_us": float(np.max(us)), "ratio": ratio}
