"""Runs the conformance suite of a kind on a driver: on its simulated and its emulated instrument, near and over ipc.

The suites and what stands around a device under test are found by entry points; here a bench is put together for each
backend, opened in each layout, and handed to every check.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zmq

from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.server.host import local_places, running
from labctl.server.lane import end_context
from labctl.server.supervisor import supervised

Backend = Literal["simulated", "emulated"]
Layout = Literal["in process", "over ipc"]

LAYOUTS: tuple[Layout, ...] = ("in process", "over ipc")

_AROUND = """
[bench]
name = "conformance"
world = "rail"
clock = "{clock}"
lease = "10 s"

[world]
detector.tap_range = "{range}"

[devices.subject]
kind = "{kind}"
{subject}

[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
"""

_CAMERA = """
[devices.camera]
kind = "camera"
backend = "simulated"
"""

_SOURCE = """
[devices.source]
kind = "supercontinuum"
backend = "simulated"
"""


@dataclass(frozen=True)
class Result:
    """What a check found: nothing, if ``broken`` is empty."""

    backend: str
    layout: str
    check: str
    broken: str
    seconds: float


def drivers() -> dict[str, str]:
    """Kinds of the drivers that can be checked, that is of those with an emulated instrument."""
    return {name: registry.load("labctl.drivers", name).kind for name in registry.names("labctl.emulators")}


def run(driver: str, mutation: str | None = None) -> list[Result]:
    """Every check on every backend and layout; with a mutation, up to the first that finds the broken instrument.

    Raises ConfigurationError if the driver cannot be checked, or the mutation has no meaning for its instrument.
    """
    known = registry.names("labctl.emulators")
    if driver not in known:
        hint = registry.suggestion(driver, known)
        raise ConfigurationError(f"{driver!r} has no emulated instrument{hint}; drivers with one: {', '.join(known)}")
    kind = str(registry.load("labctl.drivers", driver).kind)
    emulator = registry.load("labctl.emulators", driver)
    if mutation is not None and mutation not in emulator.mutations:
        raise ConfigurationError(
            f"{driver}: the mutation {mutation!r} has no meaning for it; it has {', '.join(sorted(emulator.mutations))}"
        )
    results = []
    backends: tuple[Backend, ...] = ("emulated",) if mutation else ("simulated", "emulated")
    with _own_folders() as folder:
        for backend in backends:
            config = _bench(folder, kind, driver, backend, mutation)
            for layout in LAYOUTS[:1] if mutation else LAYOUTS:
                with _opened(config, layout) as bench:
                    results += checked(bench, config, kind, backend, layout, until_broken=mutation is not None)
    return results


def checked(
    bench: Bench, config: BenchConfig, kind: str, backend: str, layout: str, *, until_broken: bool = False
) -> list[Result]:
    """Every check of the kind on ``bench.subject``, or up to the first that finds something."""
    from drivers.conformance.rig import Rig

    suite = registry.load("labctl.conformance", kind)
    truth: Any = config.world_parameters
    rig = Rig(
        subject=bench.subject,
        source=bench.subject if kind == "supercontinuum" else bench.source,
        meter=bench.meter,
        watts_at_meter=truth.watts_at_meter,
        counts_per_second=truth.counts_per_second,
        offset_counts=truth.camera.offset,
        virtual=config.clock == "virtual",
        camera=bench.camera if kind == "slm" else None,
    )
    results = []
    for check in suite.checks:
        begun = time.monotonic()
        broken = ""
        try:
            with bench.control("conformance"):
                check.run(rig)
        except (AssertionError, LabError) as error:
            broken = f"{type(error).__name__}: {error}"
        results.append(Result(backend, layout, check.name, broken, time.monotonic() - begun))
        if broken and until_broken:
            break
    return results


def _bench(folder: Path, kind: str, driver: str, backend: Backend, mutation: str | None) -> BenchConfig:
    subject = f'backend = "{backend}"'
    if backend == "emulated":
        subject += f'\ndriver = "{driver}"' + (f'\nmutation = "{mutation}"' if mutation else "")
    elif kind == "photodetector":
        subject += '\nport = "tap"'
    text = _AROUND.format(kind=kind, subject=subject, clock="virtual" if backend == "simulated" else "real",
                          range="2 W" if kind == "pump" else "1 mW")  # fmt: skip
    path = folder / f"{backend}.toml"
    text += ("" if kind == "supercontinuum" else _SOURCE) + (_CAMERA if kind == "slm" else "")
    path.write_text(text, encoding="utf-8")
    return load_bench(path)


@contextlib.contextmanager
def _opened(config: BenchConfig, layout: Layout) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        if layout == "over ipc":
            stack.enter_context(supervised(config))
            yield stack.enter_context(open_bench(config))
            return
        if not config.emulated:
            yield stack.enter_context(open_bench(config))
            return
        instruments = stack.enter_context(supervised(config, instruments_only=True))
        context: zmq.Context[Any] = zmq.Context()
        stack.callback(end_context, context)
        host = stack.enter_context(
            running(
                config,
                context,
                local_places(config),
                world_endpoint=instruments.world_endpoint,
                connections=instruments.connections,
            )
        )
        bench = Bench(config, context, host.record())
        stack.callback(bench.close)
        yield bench


@contextlib.contextmanager
def _own_folders() -> Iterator[Path]:
    """Folders of the suite's own, so that no bench of the user's is found or disturbed."""
    names = ("LABCTL_RUNTIME", "LABCTL_LOGS")
    before = {name: os.environ.get(name) for name in (*names, "LABCTL_AT", "LABCTL_SHOW")}
    with tempfile.TemporaryDirectory(prefix="labctl-c-") as text:
        folder = Path(text)
        os.environ.update({name: str(folder / name[7:].lower()) for name in names}, LABCTL_SHOW="critical")
        os.environ.pop("LABCTL_AT", None)
        try:
            yield folder
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
