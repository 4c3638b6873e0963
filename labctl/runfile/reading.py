"""Run files read as they are found: those of runs that were killed, of other programs, cut off or spoilt.

Whatever is in a file, what comes of it is a summary that says so.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from drivers.errors import ConfigurationError
from labctl.runfile.file import must_be_whole, open_run
from labctl.runfile.lock import being_written
from labctl.runfile.summary import FOREIGN, UNREADABLE, RunSummary

_LONGEST_TEXT = 2000
_MOST_RESULTS = 200


def read_summary(path: Path) -> RunSummary:
    """What the catalogue keeps of a file; of one that cannot be read, why."""
    try:
        with open_run(path) as file:
            return _summary(path, file)
    except ConfigurationError as error:
        foreign = "not a labctl run" in str(error)
        return RunSummary(file=path.name, status=FOREIGN if foreign else UNREADABLE, why=clean(str(error)))
    except Exception as error:  # noqa: BLE001 - HDF5 fails in any way on a file of which some bytes are others
        why = f"{path} is a run file that is spoilt: {type(error).__name__}: {error}"
        return RunSummary(file=path.name, status=UNREADABLE, why=clean(why))


def _summary(path: Path, file: h5py.File) -> RunSummary:
    root = dict(file.attrs)
    setup = file["setup"]
    status, _, why = clean(str(root["status"])).partition(": ")
    parts = [dict(part.attrs) for part in file["parts"].values()] if "parts" in file else []
    series = list(file["steps"].values())
    if status == "running" and not being_written(path):
        must_be_whole(file, path)
    return RunSummary(
        file=path.name,
        status=status,
        why=why,
        protocol=clean(str(root["protocol"])),
        bench=bench_of(setup),
        seed=int(root["seed"]),
        begun_s=begun_of(root, parts),
        duration_s=float(root.get("duration_s", 0.0)),
        steps=min((len(s) for s in series), default=0),
        parts=max(len(parts), 1),
        group=text_of(setup, "group"),
        given=mapping_of(setup, "given"),
        folder=text_of(setup, "folder"),
        bench_path=text_of(setup, "bench_path"),
        fingerprint=text_of(setup, "fingerprint"),
        at=text_of(setup, "at"),
        calibrations={k: str(v) for k, v in mapping_of(setup, "calibrations").items()},
        results=_numbers(file["results"].attrs) if "results" in file else {},
        pictures=[clean(str(p)) for p in json.loads(str(root.get("pictures", "[]")))],
        recoveries=count_of(file, "recoveries"),
        interlocks=count_of(file, "interlocks"),
    )


def begun_of(root: Mapping[str, Any], parts: list[dict[str, Any]]) -> float:
    """Unix time at which a run was begun."""
    if parts:
        return float(parts[0]["started_s"])
    begun = str(root["start_time"])  # of a run from before there were parts
    return time.mktime(time.strptime(begun[:19], "%Y-%m-%dT%H:%M:%S"))


def bench_of(setup: h5py.Group) -> str:
    """Name of the bench; "" of a run that ended before it had one."""
    if "bench" in setup:
        return text_of(setup, "bench")
    named = mapping_of(setup, "bench_overrides").get("bench.name")
    texts = [text_of(setup, "bench_overlay"), text_of(setup, "bench_file")]
    for table in (tomllib.loads(text).get("bench", {}) for text in texts):
        named = named or table.get("name")
    return clean(str(named or ""))


def text_of(group: h5py.Group, name: str) -> str:
    """A text that is kept as a dataset; "" if it is not there."""
    if name not in group:
        return ""
    if group[name].shape != ():  # it may claim any number of them
        raise ValueError(f"{name} is no text")
    return whole(group[name].asstr()[()])


def mapping_of(group: h5py.Group, name: str) -> dict[str, Any]:
    """A JSON object that is kept as a dataset; empty if it is not there, or is null."""
    return dict(json.loads(text_of(group, name) or "{}") or {})


def count_of(file: h5py.File, name: str) -> int:
    """How many there were of something that a run counts in an attribute, as a number, a list or numbers by kind."""
    if name not in file.attrs:
        return 0
    found = file.attrs[name]
    if isinstance(found, str):
        found = json.loads(found)
    if isinstance(found, Mapping):
        return sum(int(n) if isinstance(n, (int, float)) else len(n) for n in found.values())
    return len(found) if isinstance(found, (list, np.ndarray)) and np.ndim(found) else int(found)


def _numbers(attributes: h5py.AttributeManager) -> dict[str, float | int | bool | None]:
    found: dict[str, float | int | bool | None] = {}
    for name, value in list(attributes.items())[:_MOST_RESULTS]:
        number = value.item() if isinstance(value, np.generic) else value
        if isinstance(number, (bool, int, float)):
            found[clean(name)] = number if np.isfinite(number) else None
    return found


def clean(text: str | bytes) -> str:
    """``text`` of a length that a list can show, as UTF-8 can hold it."""
    return whole(text)[:_LONGEST_TEXT]


def whole(text: str | bytes) -> str:
    """``text`` as UTF-8 can hold it."""
    if isinstance(text, bytes):
        return text.decode(errors="backslashreplace")
    return text.encode(errors="backslashreplace").decode()
