"""The parts of a run: one, or as many as it was begun and resumed; each a group ``/parts/N`` of the run file."""

from __future__ import annotations

import json
import time

import h5py

from labctl.environment import git_state, versions


def begin_part(file: h5py.File, began_s: float, first_step: int) -> int:
    """The run is running from now on; the number of its new part. began_s: Unix time."""
    file.attrs["status"] = "running"
    number = len(file["parts"])
    part = file["parts"].create_group(str(number)).attrs
    part["start_time"] = clock(began_s)
    part["started_s"] = began_s
    part["first_step"] = first_step
    part["versions"] = json.dumps(versions())
    part["git"] = json.dumps(git_state())
    return number


def end_part(file: h5py.File, status: str, ended_s: float) -> None:
    """The last part has ended, and how."""
    part = _last(file)
    part["status"] = status
    part["end_time"] = clock(ended_s)
    part["duration_s"] = max(0.0, ended_s - float(part["started_s"]))
    file.attrs["status"] = status
    file.attrs["duration_s"] = sum(float(p.attrs["duration_s"]) for p in file["parts"].values())


def cut_part(file: h5py.File, steps: int, seen_s: float) -> None:
    """The run is to go on after ``steps`` steps. seen_s: when the last part was last seen alive, if it was killed."""
    if "end_time" not in _last(file):
        end_part(file, "killed", seen_s)
    _last(file)["kept_steps"] = steps


def clock(seconds: float | None = None) -> str:
    """Local time with its zone, now or at a Unix time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _last(file: h5py.File) -> h5py.AttributeManager:
    return file[f"parts/{len(file['parts']) - 1}"].attrs
