"""The page: what a running loop loses while somebody watches it, pictures shown, and how fast STOP makes dark.

The loop triggers a simulated camera of 512 x 640 pixels in real time, over the bus, in this process. It runs in turns:
nobody watches, a page with no browser, a page whose camera view a real Chromium shows on the same machine. Each turn is
as long, and turns alternate, so that a machine that is slower for a while is so for all. Pictures are counted in the
browser, when it has drawn them. Rows:

- "loop, nobody watches" and the others: time of one turn of the loop; ratio to nobody watching, median over rounds of
  neighbours' ratios, of the processor time that the camera's server needs for one (see "processor").
- "pictures shown": time from one to the next; ratio: pictures per second over the 20 that are promised.
- "stop": from the click in the browser until the laser's server says that it is dark; ratio to 200 ms.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page_stage import Stage, chromium, light_up, look, sign_in, stage
from labctl import open_bench
from labctl.bench.client import Bench

_ROUNDS = 10
_TURN_S = 4.0
_SETTLE_S = 1.5
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
    served: list[tuple[float, float]] = []
    watched: list[tuple[float, float]] = []
    shown: list[float] = []
    with made.page() as page, chromium() as browser, bench.control("benchmark", lease_s=30):
        visitor = browser.new_page(viewport={"width": 1280, "height": 800})
        pause = visitor.wait_for_timeout  # lets the browser's own messages be read meanwhile
        for _ in range(_ROUNDS):
            visitor.goto("about:blank")
            _loop(bench, server, _SETTLE_S)
            served.append(_loop(bench, server, _TURN_S))
            visitor.goto(page.url + "camera")
            look(visitor, "Camera")
            pause(500)
            _loop(bench, server, _SETTLE_S)
            before = visitor.evaluate("[labctl.shown.camera, performance.now()]")
            watched.append(_loop(bench, server, _TURN_S))
            after = visitor.evaluate("[labctl.shown.camera, performance.now()]")
            shown.append((after[1] - before[1]) / 1000 / max(1, after[0] - before[0]))
    for _ in range(_ROUNDS):
        with bench.control("benchmark", lease_s=30):
            alone.append(_loop(bench, server, _TURN_S))
    return [
        _row("loop, nobody watches, no page", [turn for turn, _ in alone], 1.0),
        _row("loop, a page, nobody watches", [turn for turn, _ in served], 1.0),
        _row("loop, watched in Chromium", [turn for turn, _ in watched], _ratio(watched, served, 0)),
        _row("processor of the server, nobody watches", [cpu for _, cpu in served], 1.0),
        _row("processor of the server, watched", [cpu for _, cpu in watched], _ratio(watched, served, 1)),
        _row("pictures shown", shown, 1 / float(np.median(shown)) / 20.0),
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
