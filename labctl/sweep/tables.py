"""Values of all points as arrays over the axes, and these in the file of a sweep.

A value that is a number at every point becomes an array of numbers, nan where there is none; one that is an array, or a
list of numbers, gets its dimensions behind those of the axes, and nan where it is shorter than elsewhere; of a table
the entries get names with dots; everything else is text or JSON, "" where there is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl import registry
from labctl.plain import plain
from labctl.sweep.plan import POINT, REPEAT, Plan
from labctl.sweep.points import MeasuredPoint

MISSING, MEASURED, FAILED = 0, 1, 2
"""What ``status`` says of a point."""


@dataclass(frozen=True)
class Tables:
    """Arrays over a sweep's dimensions.

    coordinates: by name, of the axes. values: by name, (*shape of the sweep, …). status: `MISSING`, `MEASURED` or
    `FAILED`. seconds: that each point took, nan where none was measured. seed: of each point. error: why it failed.
    """

    coordinates: dict[str, NDArray[Any]]
    values: dict[str, NDArray[Any]]
    status: NDArray[np.int8]
    seconds: NDArray[np.float64]
    seed: NDArray[np.int64]
    error: NDArray[Any]


def tabulate(plan: Plan, measured: Mapping[int, MeasuredPoint]) -> Tables:
    """Arrays of what is measured; see the module."""
    status = np.full(plan.size, MISSING, np.int8)
    seconds = np.full(plan.size, np.nan)
    error = np.full(plan.size, "", object)
    columns: dict[str, dict[int, Any]] = {}
    for index, point in measured.items():
        status[index] = MEASURED if point.error is None else FAILED
        seconds[index] = point.seconds
        error[index] = "" if point.error is None else str(point.error)
        for name, value in _flat(point.values):
            columns.setdefault(name, {})[index] = value
    return Tables(
        coordinates=_coordinates(plan),
        values={name: _column(columns[name], plan) for name in sorted(columns)},
        status=status.reshape(plan.shape),
        seconds=seconds.reshape(plan.shape),
        seed=np.array([plan.seed_of(i) for i in range(plan.size)], np.int64).reshape(plan.shape),
        error=error.reshape(plan.shape),
    )


def write(file: h5py.File, plan: Plan, measured: Mapping[int, MeasuredPoint]) -> None:
    """Write tables into the file: ``/axes``, ``/values``, ``/points``; dimensions have their names and scales."""
    found = tabulate(plan, measured)
    axes, values, points = (file.create_group(name) for name in ("axes", "values", "points"))
    units = {axis.key: axis.unit for axis in plan.axes}
    for name, array in found.coordinates.items():
        scale = _put(axes, name, array)
        scale.attrs["unit"] = units.get(name, "")
        scale.attrs["description"] = _description(plan, name)
        if name in plan.dimensions:
            scale.make_scale(name)
    for name in set(found.coordinates) - set(plan.dimensions):
        _label(axes[name], (POINT,), axes)
    for name, array in found.values.items():
        _label(_put(values, name.replace("/", "_"), array), plan.dimensions, axes)
    for name in ("status", "seconds", "seed", "error"):
        _label(_put(points, name, getattr(found, name)), plan.dimensions, axes)
    points["status"].attrs["meaning"] = f"{MISSING} not measured, {MEASURED} measured, {FAILED} failed"
    points["seconds"].attrs["unit"] = "s"


def _coordinates(plan: Plan) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    if plan.together:
        found[POINT] = np.arange(plan.shape[0])
    found |= {axis.key: axis.coordinates() for axis in plan.axes}
    if plan.repeats > 1:
        found[REPEAT] = np.arange(plan.repeats)
    return found


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _column(found: Mapping[int, Any], plan: Plan) -> NDArray[Any]:
    """(*shape, …) of one value."""
    kinds = {_kind(value) for value in found.values()} - {"none"}
    if kinds == {"bool"} and len(found) == plan.size and None not in found.values():
        return _filled(found, plan, np.zeros(plan.size, bool))
    if kinds == {"int"} and len(found) == plan.size and None not in found.values():
        return _filled(found, plan, np.zeros(plan.size, np.int64))
    if kinds <= {"bool", "int", "float"}:
        numbers = {index: np.nan if value is None else float(value) for index, value in found.items()}
        return _filled(numbers, plan, np.full(plan.size, np.nan))
    if kinds == {"array"}:
        arrays = {index: np.asarray(value) for index, value in found.items() if value is not None}
        if len({array.ndim for array in arrays.values()}) == 1:
            return _stacked(arrays, plan)
    texts = {i: value if isinstance(value, str) else json.dumps(plain(value)) for i, value in found.items()}
    return _filled(texts, plan, np.full(plan.size, "", object))


def _stacked(arrays: Mapping[int, NDArray[Any]], plan: Plan) -> NDArray[Any]:
    """(*shape, …) as large as the largest, nan beyond the others."""
    shapes = {array.shape for array in arrays.values()}
    dtype = np.result_type(*{array.dtype for array in arrays.values()})
    if len(arrays) < plan.size or len(shapes) > 1:
        dtype = np.result_type(dtype, np.float64)
    flat = np.full((plan.size, *np.max(list(shapes), axis=0)), np.nan if dtype.kind in "fc" else 0, dtype)
    for index, array in arrays.items():
        place: tuple[int | slice, ...] = (index, *(slice(n) for n in array.shape))
        flat[place] = array
    return flat.reshape(*plan.shape, *flat.shape[1:])


def _kind(value: Any) -> str:
    if value is None:
        return "none"
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind.__name__
    if isinstance(value, np.ndarray):
        return "array"
    return "array" if isinstance(value, list) and value and _is_rectangular(value) else "text"


def _is_rectangular(value: list[Any]) -> bool:
    try:
        return np.array(value).dtype.kind in "biufc"
    except ValueError:
        return False


def _filled(found: Mapping[int, Any], plan: Plan, flat: NDArray[Any]) -> NDArray[Any]:
    for index, value in found.items():
        flat[index] = value
    return flat.reshape(*plan.shape, *flat.shape[1:])


def _put(group: h5py.Group, name: str, array: NDArray[Any]) -> h5py.Dataset:
    return group.create_dataset(name, data=array, dtype=h5py.string_dtype() if array.dtype.kind == "O" else None)


def _label(dataset: h5py.Dataset, names: tuple[str, ...], axes: h5py.Group) -> None:
    for dimension, name in zip(dataset.dims, names, strict=False):  # those of an array itself have no name
        dimension.label = name
        dimension.attach_scale(axes[name])


def _description(plan: Plan, key: str) -> str:
    model = registry.load(plan.group, plan.name).Parameters
    field = model.model_fields.get(key)
    return (field.description or "") if field is not None else ""
