"""What a run file says of a run that is not complete: all that is needed to go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import h5py

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.runfile.file import open_run, spoilt_told

_GROUPS = ("labctl.protocols", "labctl.figures")


@dataclass(frozen=True)
class Unfinished:
    """The experiment, its ``--set`` values, and the bench on which it was begun.

    bench_path, bench_texts: bench file and what it and its overlay held. at: the bench's machine, None for this one.
    """

    name: str
    group: registry.Group
    given: Mapping[str, object]
    bench_path: Path
    bench_texts: tuple[str, str]
    fingerprint: str
    at: str | None


def read_unfinished(path: Path) -> Unfinished:
    """Read a run file that is to be gone on with. ConfigurationError if it cannot be, and why."""
    with spoilt_told(path), open_run(path) as file:
        name, status = str(file.attrs["protocol"]), str(file.attrs["status"])
        if status == "complete":
            raise ConfigurationError(f"{path} is complete: there is nothing left to do; begin another run of {name}")
        if "parts" not in file:
            raise ConfigurationError(f"{path} was made before runs could be resumed; begin another run of {name}")
        if "group" not in file["setup"]:
            raise ConfigurationError(f"{path} ended before it began: it does not say what was to be done; begin anew")
        told = {
            key: _text(file["setup"][key])
            for key in ("group", "given", "folder", "at", "bench_file", "bench_overlay", "bench_path", "fingerprint")
        }
        given = dict(json.loads(told["given"]))
    if told["group"] not in _GROUPS and not _goes_on(told["group"], name):
        raise ConfigurationError(
            f"{path} is a calibration or a check of one, {name}: its numbers belong to one moment, and it is not "
            "resumed but measured again, with `labctl calibrate`"
        )
    return Unfinished(
        name=name,
        group=cast(registry.Group, told["group"]),
        given=given,
        bench_path=Path(told["folder"], told["bench_path"]),
        bench_texts=(told["bench_file"], told["bench_overlay"]),
        fingerprint=told["fingerprint"],
        at=told["at"] or None,
    )


def _text(kept: h5py.Dataset) -> str:
    text = kept.asstr()[()] if kept.shape == () else None
    if not isinstance(text, str):
        raise ValueError(f"{kept.name} is no text")
    return text


def _goes_on(group: str, name: str) -> bool:
    """Whether it is a routine that takes long and is told of as an experiment, such as `dyad.calibrate`."""
    if group != "labctl.calibrations" or name not in registry.names("labctl.calibrations"):
        return False
    return bool(registry.load("labctl.calibrations", name).kept_by_run)
