"""`labctl record` and `labctl replay`."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from drivers.errors import ConfigurationError, LabError
from labctl.bench.client import open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bench.overrides import parse_assignments
from labctl.record.bench_file import replay_bench
from labctl.record.record import Record
from labctl.record.session import MOST_BYTES, Session, recording
from labctl.server.directory import find_up

_LOOK_EVERY_S = 1.0
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def record_bench(bench: str, assignments: list[str], to: Path, most: str | None, as_json: bool) -> int:
    """Record until interrupted: a bench that is up, else one that is brought up for it."""
    config = load_bench(bench, parse_assignments(assignments))
    most_bytes = MOST_BYTES if most is None else _size(most)
    if to.exists():  # before the bench is brought up
        raise ConfigurationError(f"{to} is there already; records are kept: choose another --to")
    if not os.access(to.parent, os.W_OK):
        raise ConfigurationError(f"{to.parent} is no folder that this user may write in; choose another --to")
    with _up(config) as watch, open_bench(config) as table:
        ended: dict[str, str] = {}
        with recording(table, to, most_bytes) as session:
            print(f"recording bench {config.name} to {to}, until Ctrl-C", file=sys.stderr, flush=True)  # noqa: T201
            stop = threading.Event()
            looking = threading.Thread(target=_look, args=(session, stop, ended), daemon=True)
            looking.start()
            try:
                watch()
            finally:
                stop.set()
                looking.join(2 * _LOOK_EVERY_S)
    told = _told(Record(to))
    if as_json:
        print(json.dumps(told))  # noqa: T201
    else:
        print(f"{to}: {told['requests']} requests, {told['bytes']} bytes; serve it back: labctl replay {to}")  # noqa: T201
    return 0


@contextmanager
def _up(config: BenchConfig) -> Iterator[Any]:
    """The bench is up; what to do until Ctrl-C."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        there = find_up(context, config.name) is not None
    finally:
        context.destroy(linger=0)
    if there:
        yield _until_interrupted(threading.Event().wait)
        return
    from labctl.server.supervisor import supervised

    with supervised(config) as supervisor:
        yield _until_interrupted(supervisor.watch)


def _until_interrupted(wait: Any) -> Any:
    def watch() -> None:
        try:
            wait()
        except KeyboardInterrupt:
            print("ending the record", file=sys.stderr, flush=True)  # noqa: T201

    return watch


def _look(session: Session, stop: threading.Event, ended: dict[str, str]) -> None:
    while not stop.wait(_LOOK_EVERY_S):
        try:
            found = session.look()
        except LabError as error:
            found = {"": str(error)}
        for server, why in found.items():
            if ended.get(server) != why:
                ended[server] = why
                print(f"labctl: {server or 'bench'}: no longer recorded: {why}", file=sys.stderr, flush=True)  # noqa: T201


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?) ?([kMGT]?)B?", text)
    if found is None or float(found[1]) * _UNITS[found[2]] < 1e5:
        raise ConfigurationError(f"--most {text}: no size of a file; write for example 500MB or 20GB, at least 100kB")
    return int(float(found[1]) * _UNITS[found[2]])


def replay_record(file: Path, to: Path | None, run: str, as_json: bool) -> int:
    """Write the bench file that serves a record back; tell what is in it."""
    record = Record(file)
    target = to or file.with_suffix(".toml")
    text = replay_bench(record, target, run)
    if target.exists() and target.read_text() != text:
        raise ConfigurationError(f"{target} is there already, and is another file; choose another --to")
    try:
        target.write_text(text)
    except OSError as error:
        raise ConfigurationError(f"cannot write {target}: {error}; choose another --to") from None
    told = {**_told(record), "bench_file": str(target)}
    if as_json:
        print(json.dumps(told))  # noqa: T201
        return 0
    print(f"{file}: bench {told['bench']}, {told['requests']} requests, recorded with {record.made_with()}")  # noqa: T201
    for name in told["runs"]:
        print(f"  run {name}")  # noqa: T201
    for server, why in told["ended"].items():
        print(f"  {server}: {why}")  # noqa: T201
    print(f"{target} serves it back: labctl run PROTOCOL --bench {target}")  # noqa: T201
    return 0


def _told(record: Record) -> dict[str, Any]:
    return {
        "file": str(record.path),
        "bench": record.about.get("bench", ""),
        "bytes": record.path.stat().st_size,
        "requests": sum(map(len, record.entries.values())),
        "runs": record.runs,
        "devices": {name: device.kind for name, device in record.devices.items()},
        "ended": {server: record.ended.get(server, "killed") for server in record.entries},
    }
