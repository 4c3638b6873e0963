"""What is written into a run file when its run ends: results, and what interlocks did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from labctl.plain import plain


def write_results(file: h5py.File, results: Mapping[str, Any]) -> None:
    """``/results``: arrays as they are, numbers as attributes, the rest as JSON."""
    group = file.create_group("results")
    for name, value in results.items():
        if isinstance(value, np.ndarray):
            group.create_dataset(name, data=value)
        elif isinstance(value, (bool, int, float)):
            group.attrs[name] = value
        else:
            group.create_dataset(name, data=json.dumps(plain(value)), dtype=h5py.string_dtype())


def write_interlocks(file: h5py.File, events: Sequence[Mapping[str, Any]]) -> None:
    """Events of this part of the run after those of earlier ones, in the dataset ``interlocks``; how often each
    interlock tripped in all, in the attribute of that name."""
    before = json.loads(file["interlocks"].asstr()[()]) if "interlocks" in file else []
    told = [*before, *(event for event in events if event not in before)]
    if "interlocks" in file:
        del file["interlocks"]
    file.create_dataset("interlocks", data=json.dumps(told), dtype=h5py.string_dtype())
    trips = [event["interlock"] for event in told if event["what"] == "tripped"]
    file.attrs["interlocks"] = json.dumps({name: trips.count(name) for name in sorted(set(trips))})


def put(group: h5py.Group, name: str, value: Any) -> None:
    """A dataset, in the place of what there was."""
    if name in group:
        del group[name]
    group.create_dataset(name, data=value)
