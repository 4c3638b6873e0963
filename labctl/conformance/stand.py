"""The stand on which a device is tried out: a bench with it and what lights it or looks at it, near and over ipc."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zmq

from drivers.conformance.rig import Check, Rig
from drivers.errors import ConfigurationError
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

_PANEL = """
[devices.panel]
kind = "slm"
backend = "simulated"
"""

_SOURCE = """
[devices.source]
kind = "supercontinuum"
backend = "simulated"
"""


_ALONE = {
    "thermodynamic-computer": """
[bench]
name = "conformance"
world = "thermodynamic"
clock = "virtual"
lease = "10 s"

[world]
units = 32

[devices.subject]
kind = "thermodynamic-computer"
backend = "simulated"
"""
}
"""Benches of kinds that have nothing to do with light, and no driver."""


@dataclass(frozen=True)
class Case:
    """A device to be checked: a driver on its emulated instrument, or the simulated backend of a kind.

    subject: name of the driver, or of the kind where ``backend`` is "simulated".
    """

    subject: str
    kind: str
    backend: Backend
    layout: Layout

    @property
    def suite(self) -> Any:
        """The checks of its kind."""
        return registry.load("labctl.conformance", self.kind)


def kind_of(driver: str) -> str:
    """ConfigurationError unless the driver has an emulated instrument."""
    known = registry.names("labctl.emulators")
    if driver not in known:
        hint = registry.suggestion(driver, known)
        raise ConfigurationError(f"{driver!r} has no emulated instrument{hint}; drivers with one: {', '.join(known)}")
    return str(registry.load("labctl.drivers", driver).kind)


def mutations_of(driver: str) -> list[str]:
    """Ways in which the driver's instrument can be wrong without saying so."""
    kind_of(driver)
    return sorted(registry.load("labctl.emulators", driver).mutations)


def cases(driver: str) -> list[Case]:
    """The driver's own, after those of its kind's simulated backend."""
    kind = kind_of(driver)
    return [Case(kind, kind, "simulated", layout) for layout in LAYOUTS] + [
        Case(driver, kind, "emulated", layout) for layout in LAYOUTS
    ]


def all_cases() -> list[Case]:
    """Of every driver that has an emulated instrument, none twice; and of kinds that have no driver."""
    found = [case for driver in registry.names("labctl.emulators") for case in cases(driver)]
    found += [Case(kind, kind, "simulated", layout) for kind in _ALONE for layout in LAYOUTS]
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def standing(case: Case, folder: Path, mutation: str | None = None) -> Iterator[Stand]:
    """The device on its stand, open. folder: for its bench file; see `own_folders`."""
    if mutation is not None and mutation not in mutations_of(case.subject):
        raise ConfigurationError(
            f"{case.subject}: the mutation {mutation!r} has no meaning for it; it has "
            f"{', '.join(mutations_of(case.subject))}"
        )
    config = _bench(folder, case.kind, case.subject, case.backend, mutation)
    with _opened(config, case.layout) as bench:
        yield Stand(case, bench, _rig(bench, config, case.kind))


class Stand:
    """An open device with what stands around it."""

    def __init__(self, case: Case, bench: Bench, rig: Rig) -> None:
        self.case = case
        self._bench = bench
        self._rig = rig

    def run(self, check: Check) -> None:
        """One check, under a lease of its own. Raises `drivers.conformance.rig.Broken` or a LabError if it fails."""
        with self._bench.control("conformance"):
            check.run(self._rig)


def _rig(bench: Bench, config: BenchConfig, kind: str) -> Rig:
    if kind in _ALONE:
        return Rig(bench.subject, None, None, _no_light, _no_light, 0.0, config.clock == "virtual")
    truth: Any = config.world_parameters
    return Rig(
        subject=bench.subject,
        source=bench.subject if kind == "supercontinuum" else bench.source,
        meter=bench.meter,
        watts_at_meter=truth.watts_at_meter,
        counts_per_second=truth.counts_per_second,
        offset_counts=truth.camera.offset,
        virtual=config.clock == "virtual",
        camera=bench.camera if kind == "slm" else None,
        panel=bench.panel if kind == "camera" else None,
    )


def _no_light(*of: Any) -> float:
    raise ConfigurationError(f"a bench without light was asked for that of {of}")


def _bench(folder: Path, kind: str, driver: str, backend: Backend, mutation: str | None) -> BenchConfig:
    path = folder / f"{backend}.toml"
    if kind in _ALONE:
        path.write_text(_ALONE[kind], encoding="utf-8")
        return load_bench(path)
    subject = f'backend = "{backend}"'
    if backend == "emulated":
        subject += f'\ndriver = "{driver}"' + (f'\nmutation = "{mutation}"' if mutation else "")
    elif kind == "photodetector":
        subject += '\nport = "tap"'
    text = _AROUND.format(kind=kind, subject=subject, clock="virtual" if backend == "simulated" else "real",
                          range="2 W" if kind == "pump" else "1 mW")  # fmt: skip
    text += "" if kind == "supercontinuum" else _SOURCE
    text += {"slm": _CAMERA, "camera": _PANEL}.get(kind, "")
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
        bench = Bench(config, context, host.entry())
        stack.callback(bench.close)
        yield bench


@contextlib.contextmanager
def own_folders() -> Iterator[Path]:
    """Folders of the suite's own, so that no bench of the user's is found or disturbed."""
    names = ("LABCTL_RUNTIME", "LABCTL_LOGS", "LABCTL_KEYS", "LABCTL_CALIBRATIONS", "LABCTL_INTERLOCKS")
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
