"""Everything a run file says of its run but its arrays."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from drivers.errors import ConfigurationError
from labctl.headroom import READING_BYTES, memory_for
from labctl.plain import plain
from labctl.runfile.file import open_run
from labctl.runfile.reading import read_summary, whole
from labctl.runfile.summary import FOREIGN, UNREADABLE
from labctl.runs.command import command_of

_ROOT = frozenset(
    ("protocol", "seed", "status", "start_time", "duration_s", "pictures", "labctl_run", "NX_class", "default")
)
_SETUP = ("parameters", "settings", "devices", "bench_overrides", "world")


def details_of(path: Path) -> dict[str, Any]:
    """A run, in JSON's types: summary, parameters, devices, settings, versions, git, parts, arrays by shape, results,
    pictures that are there, and ``repeat``, the command that makes it again.

    ``recoveries`` and ``interlocks`` say how often which of them came in, ``interlock_events`` what interlocks did.
    Further attributes of the run file are under their names.

    Raises ConfigurationError, with the reason, for a file that is none of ours, cut off or spoilt.
    """
    with memory_for(READING_BYTES):
        summary = read_summary(path)
    if summary.status in (UNREADABLE, FOREIGN):
        raise ConfigurationError(summary.why)
    summary = summary.now(path.parent)
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(summary, file=path.name))
    try:
        with memory_for(READING_BYTES), open_run(path) as file:
            told |= _told(file)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - as in `read_summary`
        raise ConfigurationError(f"{path} is a run file that is spoilt: {type(error).__name__}: {error}") from None
    told["path"] = str(path.absolute())
    told["pictures"] = [
        str(p) for name in summary.pictures if (p := path.with_name(Path(name).name)).is_file() and p.suffix == ".png"
    ]
    told["checkpoint"] = path.with_suffix(".checkpoint").is_file()
    told["repeat"] = dataclasses.asdict(command_of(summary))
    return told


def _told(file: h5py.File) -> dict[str, Any]:
    setup = file["setup"]
    # A resumed run has the settings and devices of each part with the part.
    parts = [_part(part) for part in file["parts"].values()] if "parts" in file else []
    told: dict[str, Any] = {
        "recoveries": {},
        "interlocks": {},
        "interlock_events": _text(file["interlocks"]) if "interlocks" in file else [],
        **{name: _value(value) for name, value in file.attrs.items() if name not in _ROOT},
        **{name: _text(setup[name]) for name in _SETUP if name in setup},
        "versions": _value(setup.attrs.get("versions", "{}")),
        "git": _value(setup.attrs.get("git", "{}")),
        "parts": parts,
        "series": {name: _shape(series) for name, series in file["steps"].items()},
        "data": {name: _shape(array) for name, array in file["data"].items()},
    }
    if "results" in file:
        told["results"] = {name: _value(value) for name, value in file["results"].attrs.items()}
        told["results"] |= {name: _text(data) for name, data in file["results"].items()}
    return told


def _part(part: h5py.Group) -> dict[str, Any]:
    return {name: _value(value) for name, value in part.attrs.items()} | {
        name: _text(part[name]) for name in ("settings", "devices") if name in part
    }


def _text(data: h5py.Dataset) -> Any:
    """A text, read as the JSON it usually is; an array by its shape."""
    if data.shape != () or h5py.check_string_dtype(data.dtype) is None:
        return _shape(data)
    return _value(data.asstr()[()])


def _value(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        text = whole(value)
        if text[:1] in "{[":
            try:
                return json.loads(text)
            except ValueError:
                return text
        return text
    return plain(value) if isinstance(value, (np.generic, np.ndarray, Mapping)) else value


def _shape(data: h5py.Dataset) -> str:
    return f"{data.dtype} {tuple(int(n) for n in data.shape)}"
