"""Folders that labctl keeps things in: where they are, whose, with which modes; data; variables of the environment."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from drivers.errors import BusError, ConfigurationError
from labctl import registry
from labctl.bus import security
from labctl.doctor.finding import Finding, Findings, taken_apart
from labctl.safety import record
from labctl.server import logs, runtime
from labctl.store.folder import store_folder

_LITTLE_DISK_BYTES = 2 << 30
_LONG_NAME = "bench-of-a-long-name"

VARIABLES = {
    "LABCTL_AT": "a bench on another machine",
    "LABCTL_CALIBRATIONS": "folder of calibrations",
    "LABCTL_DATA": "folder of data",
    "LABCTL_DEBUG": "remote tracebacks are shown",
    "LABCTL_INTERLOCKS": "what interlocks remember",
    "LABCTL_KEY": "which own key is shown",
    "LABCTL_KEYS": "folder of keys",
    "LABCTL_LOGS": "folder of logs",
    "LABCTL_RUNTIME": "folder of sockets",
    "LABCTL_SHOW": "from which level on logs are shown",
}


def own() -> Findings:
    """Folders of this user's own, made where they are missing, as any command would."""
    yield _private("runtime", runtime.folder)
    try:
        runtime.base_endpoint(_LONG_NAME)
    except ConfigurationError:
        pass  # said above
    except BusError as error:
        yield Finding("folders", "sockets", "broken", *taken_apart(error))
    yield _private("logs", logs.folder)
    yield _private("interlocks", record.folder)
    yield _keys()
    yield _written("calibrations", store_folder(), "set LABCTL_CALIBRATIONS to a folder that can be written")
    yield _written("runs", Path("runs").absolute(), "go to a folder that can be written, or use --out")


def data() -> Findings:
    """The folder of data sets, which is not needed: without it digits come from a package."""
    named = os.environ.get("LABCTL_DATA")
    if not named:
        yield Finding("data", "LABCTL_DATA", "note", "not set", "for MNIST, tunes and graphs: LABCTL_DATA=FOLDER")
        return
    place = Path(named)
    try:
        inside = sorted(path.name for path in place.iterdir() if path.is_dir())
    except OSError as error:
        told = f"{named} cannot be read: {error.strerror}"
        yield Finding("data", "LABCTL_DATA", "broken", told, "set LABCTL_DATA to the folder with mnist/ in it")
        return
    if inside:
        yield Finding("data", "LABCTL_DATA", "ok", f"{place}: {', '.join(inside)}")
    else:
        yield Finding("data", "LABCTL_DATA", "note", f"{place} has no folders in it", "put mnist/ there")


def environment() -> Findings:
    """Variables that labctl reads. One that it does not know is likely a slip of the pen."""
    for name in sorted(name for name in os.environ if name.startswith("LABCTL_")):
        if name in VARIABLES:
            yield Finding("environment", name, "ok", f"{os.environ[name]} ({VARIABLES[name]})")
        elif not name.startswith(("LABCTL_BENCH_", "LABCTL_LEDGER_")):  # of benchmarks and drills
            hint = registry.suggestion(name, VARIABLES)
            yield Finding("environment", name, "note", f"labctl reads no such variable{hint}", f"unset {name}")


def benches() -> Findings:
    """Benches of this user that are up; they are not asked anything."""
    try:
        found = runtime.all_hosts()
    except ConfigurationError:
        return  # said of the folder
    told = ", ".join(f"{host.bench} (pid {host.pid})" for host in found) or "none is up"
    yield Finding("benches", "up", "ok", told)


def _private(what: str, folder: Callable[[], Path]) -> Finding:
    try:
        place = folder()
    except ConfigurationError as error:
        return Finding("folders", what, "broken", *taken_apart(error))
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("folders", what, "broken", f"{place} cannot be written", f"chmod u+rwx {place}")
    return Finding("folders", what, "ok", f"{place} (mode {stat.S_IMODE(place.stat().st_mode):04o})")


def _keys() -> Finding:
    place = security.folder()
    if not place.exists():
        return Finding("folders", "keys", "ok", f"{place}: none; they are for benches on other machines")
    try:
        names = security.names()
        for name in names:
            security.load(name)
        clients, benches = len(security.admitted()), len(security.trusted())
    except ConfigurationError as error:
        return Finding("folders", "keys", "broken", *taken_apart(error))
    told = f"own {', '.join(names) or 'none'}; {clients} let in, {benches} believed"
    return Finding("folders", "keys", "ok", f"{place} (mode {stat.S_IMODE(place.stat().st_mode):04o}): {told}")


def _written(what: str, place: Path, cure: str) -> Finding:
    there = place
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("folders", what, "broken", f"{there} cannot be written", cure)
    free = shutil.disk_usage(there).free
    told = f"{place}{'' if place.exists() else ', made when it is needed'}; {free / 2**30:,.0f} GiB free"
    if free < _LITTLE_DISK_BYTES:
        return Finding("folders", what, "note", told, "make room: a run may take gigabytes")
    return Finding("folders", what, "ok", told)
