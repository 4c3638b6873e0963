"""A run as a NeXus file: HDF5 with the attributes by which NeXus programs find data, axes and units."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.plain import plain
from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter
from labctl.runs.units import unit_of

_BLOCK_BYTES = 32 << 20
_CLASSES = {
    "camera": "NXdetector", "photodetector": "NXdetector", "supercontinuum": "NXsource", "pump": "NXsource",
}  # fmt: skip


class Nexus(Exporter):
    """NeXus: one .nxs, HDF5 with NXentry, NXdata for every series and array, instrument, parameters, results."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """It opens on the first series of single numbers, or on what there is."""
        exported, told = Exported([folder / f"{stem}.nxs"]), run.told
        with h5py.File(exported.files[0], "x") as file, run.reading() as arrays:
            file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
            file.attrs["creator"] = f"labctl {told['versions'].get('labctl', '')}"
            entry = _group(file, "entry", "NXentry")
            _describe(entry, told, _kinds(arrays.texts))
            plotted = []
            times = run.step_times(arrays.steps)
            for name, series in arrays.series.items():
                _data(entry, f"series_{name}", name, series, arrays.steps, exported)
                plotted.append((series.ndim != 1, f"series_{name}"))
            if times is not None:
                _tell_times([entry[where] for _, where in plotted if where in entry], times)
            for name, array in arrays.data.items():
                _data(entry, f"array_{name}", name, array, None, exported)
                plotted.append((True, f"array_{name}"))
            there = [name for _, name in sorted(plotted, key=lambda one: one[0]) if name in entry]
            if there:
                entry.attrs["default"] = there[0]
            _table(_group(entry, "results", "NXcollection"), run.results)
            for name, text in arrays.texts.items():
                note = _group(entry, name, "NXnote")
                note["type"], note["data"] = "application/toml", text
        return exported


def _describe(entry: h5py.Group, told: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    begun_s = told["begun_s"]
    entry["title"] = f"{told['protocol']}, seed {told['seed']}, on {told['bench'] or 'no bench'}"
    entry["start_time"] = _iso(begun_s)
    if told["status"] != "running":
        entry["end_time"] = _iso(begun_s + told["duration_s"])
        entry["duration"] = round(told["duration_s"])  # whole seconds, as the standard has it
        entry["duration"].attrs["units"] = "s"
    entry["entry_identifier"] = Path(told["path"]).stem
    entry["program_name"] = "labctl"
    entry["program_name"].attrs["version"] = told["versions"].get("labctl", "")
    _table(_group(entry, "parameters", "NXparameters"), told.get("parameters") or {})
    made_with = {
        name: told[name]
        for name in ("status", "duration_s", "seed", "fingerprint", "calibrations", "versions", "git", "repeat")
    }
    _table(_group(entry, "made_with", "NXcollection"), {name: told[name] for name in made_with})
    instrument = _group(entry, "instrument", "NXinstrument")
    instrument["name"] = told["bench"]
    settings = told.get("settings") or {}
    for role, who in (told.get("devices") or {}).items():
        who = who if isinstance(who, Mapping) else {}
        device = _group(instrument, role, _CLASSES.get(kinds.get(role, ""), "NXcollection"))
        made = _group(device, "fabrication", "NXfabrication")
        for name, key in (("model", "model"), ("serial_number", "serial")):
            made[name] = str(who.get(key, ""))
        had = settings.get(role) if isinstance(settings, Mapping) else None
        had = had if isinstance(had, Mapping) else {}
        _table(_group(device, "settings", "NXcollection"), {"firmware": str(who.get("firmware", "")), **had})


def _kinds(texts: Mapping[str, str]) -> dict[str, str]:
    """Kind of each device, as the bench file has it."""
    try:
        devices = tomllib.loads(texts.get("bench_file", "")).get("devices", {})
    except tomllib.TOMLDecodeError:
        return {}
    return {role: str(table.get("kind", "")) for role, table in devices.items() if isinstance(table, Mapping)}


def _data(entry: h5py.Group, where: str, name: str, kept: Any, steps: int | None, exported: Exported) -> None:
    """An NXdata with its signal, axes and units, copied a part at a time."""
    if kept.dtype.kind not in "biufcOS":
        exported.left_out[name] = f"numbers of type {kept.dtype}"
        return
    shape = tuple(kept.shape) if steps is None else (steps, *kept.shape[1:])
    group = _group(entry, where.replace("/", "_"), "NXdata")
    group.attrs["signal"] = "data"
    data = group.create_dataset("data", shape, h5py.string_dtype() if kept.dtype.kind == "O" else kept.dtype)
    data.attrs["long_name"] = name
    unit = unit_of(name)
    if unit:
        data.attrs["units"] = unit
    if shape:
        group.attrs["axes"] = ["step", *["."] * (len(shape) - 1)] if steps is not None else ["."] * len(shape)
    if steps is not None:
        group["step"] = np.arange(steps)
    if not shape:
        data[()] = kept[()]
        return
    rows = max(1, _BLOCK_BYTES // max(1, kept.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))))
    for start in range(0, shape[0], rows):
        data[start : min(start + rows, shape[0])] = kept[start : min(start + rows, shape[0])]


def _tell_times(series: Sequence[h5py.Group], times: NDArray[np.float64]) -> None:
    """``time`` beside ``step``: when each was saved, in s since the first; one field that all series have by a link."""
    if not series or not len(times):
        return
    time = series[0].create_dataset("time", data=times - times[0])
    time.attrs["units"] = "s"
    time.attrs["start"] = _iso(times[0], "microseconds")
    time.attrs["target"] = time.name  # by which NeXus tells a link from what it leads to
    for group in series:
        if group != series[0]:
            group["time"] = time
        group.attrs["step_indices"] = group.attrs["time_indices"] = 0


def _table(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Numbers and arrays with units, texts, and all else as JSON."""
    for name, value in values.items():
        kept = value if isinstance(value, (bool, int, float, str, np.ndarray)) else json.dumps(plain(value))
        field = group.create_dataset(name.replace("/", "_"), data=kept)
        unit = "" if isinstance(kept, str) else unit_of(name)
        if unit:
            field.attrs["units"] = unit


def _group(parent: h5py.Group, name: str, nexus_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nexus_class
    return group


def _iso(seconds: float, to: str = "seconds") -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=to)
