"""A run as documents of the bluesky event model, which databrokers and their users read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.plain import plain
from labctl.runs.data import Arrays, RunData
from labctl.runs.exporters.exporter import Exported, Exporter, needed, size_of
from labctl.runs.units import unit_of

_MOST_IN_EVENT = 1_000
"""Numbers of a series within a step; longer ones stay in the run file, to which the documents lead."""
_MOST_IN_ONE = 10_000
_ENDS = {"complete": "success", "failed": "fail", "interrupted": "abort", "killed": "abort"}
_TOLD = (
    "seed", "bench", "fingerprint", "parameters", "devices", "calibrations", "versions", "git", "recoveries",
    "interlocks", "status", "path",
)  # fmt: skip
_Document = tuple[str, Mapping[str, Any]]


class Bluesky(Exporter):
    """bluesky: documents of the event model, .jsonl, one {"name", "doc"} a line, as bluesky's own writer has them."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Streams ``primary`` (steps), ``data`` and ``results``. Frames stay in the run file, by stream resources."""
        model = needed("event_model", "event-model")
        exported = Exported([folder / f"{stem}.jsonl"])
        with open(exported.files[0], "x", encoding="utf-8") as out, run.reading() as arrays:
            for name, document in _documents(model, run, arrays, exported):
                # What is not a finite number becomes null: JSON has no other.
                out.write(json.dumps({"name": name, "doc": _json(document)}, allow_nan=False) + "\n")
        return exported


def _documents(model: Any, run: RunData, arrays: Arrays, exported: Exported) -> Iterator[_Document]:
    told = run.told
    begun_s, ended_s = told["begun_s"], told["begun_s"] + told.get("duration_s", 0.0)
    metadata = {
        "plan_name": told["protocol"],
        "labctl": _keys({name: told[name] for name in _TOLD if told.get(name)}),
        "again": told["repeat"]["text"],
        "event_times": "when the step was saved"
        if run.step_times() is not None
        else "those of the beginning of each part of the run; its file has no times of steps",
    }
    bundle = model.compose_run(time=begun_s, metadata=metadata)
    yield "start", bundle.start_doc
    if arrays.steps:
        yield from _steps(bundle, run, arrays)
    kept = {}
    for name, array in arrays.data.items():
        if size_of(array.shape) > _MOST_IN_ONE:
            exported.left_out[f"data/{name}"] = f"{size_of(array.shape)} numbers; take nexus or npz"
        else:
            kept[name] = np.asarray(array[()])
    yield from _once(bundle, "data", kept, begun_s)
    yield from _once(bundle, "results", run.results, ended_s)
    if run.status in _ENDS:
        yield "stop", bundle.compose_stop(exit_status=_ENDS[run.status], reason=told.get("why") or "", time=ended_s)


def _steps(bundle: Any, run: RunData, arrays: Arrays) -> Iterator[_Document]:
    keys: dict[str, Any] = {}
    far, near = {}, {}
    for name, series in arrays.series.items():
        shape = tuple(series.shape[1:])
        if size_of(shape) > _MOST_IN_EVENT:
            keys[_key(name)] = _described(f"/steps/{name}", series.dtype, shape, name) | {"external": "STREAM:"}
            far[name] = series
        else:
            keys |= _keys_of(f"/steps/{name}", series.dtype, shape, name)
            near[name] = series
    described = bundle.compose_descriptor(name="primary", data_keys=keys, time=run.told["begun_s"])
    yield "descriptor", described.descriptor_doc
    whole = {"start": 0, "stop": arrays.steps}
    for name, series in far.items():
        resource = bundle.compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=run.path.absolute().as_uri().replace("file:///", "file://localhost/"),
            data_key=_key(name),
            # "stack": each event is an entry of the first axis, which is what bluesky's consolidators ask.
            parameters={
                "dataset": f"/steps/{name}",
                "join_method": "stack",
                "chunk_shape": [1, *map(int, series.shape[1:])],
            },
        )
        yield "stream_resource", resource.stream_resource_doc
        numbers = {"start": 1, "stop": arrays.steps + 1}
        yield "stream_datum", resource.compose_stream_datum(whole, numbers, described.descriptor_doc)
    if not near:
        return
    times = _times(run, arrays.steps)
    for step in range(arrays.steps):
        at = float(times[step])
        values: dict[str, Any] = {}
        for name, series in near.items():
            values |= _values_of(name, series[step])
        yield "event", described.compose_event(values, dict.fromkeys(values, at), time=at, validate=step == 0)


def _times(run: RunData, steps: int) -> NDArray[np.float64]:
    """Of each event, (steps,)."""
    times = run.step_times(steps)
    if times is not None:
        return times
    began = [float(part.get("started_s", run.told["begun_s"])) for part in run.told["parts"]] or [run.told["begun_s"]]
    return np.array(began)[run.part_of_steps(steps)]


def _once(bundle: Any, stream: str, found: Mapping[str, Any], at: float) -> Iterator[_Document]:
    """A stream of one event."""
    keys: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, np.ndarray):
            keys |= _keys_of(f"/{stream}/{name}", value.dtype, value.shape, name)
            values |= _values_of(name, value)
        elif isinstance(value, (bool, int, float)):
            keys |= _keys_of(f"/{stream}/{name}", np.asarray(value).dtype, (), name)
            values[_key(name)] = value
        else:
            keys[_key(name)] = {"source": f"labctl:/{stream}/{name}", "dtype": "string", "shape": []}
            values[_key(name)] = value if isinstance(value, str) else json.dumps(plain(value))
    if not keys:
        return
    described = bundle.compose_descriptor(name=stream, data_keys=keys, time=at)
    yield "descriptor", described.descriptor_doc
    yield "event", described.compose_event(values, dict.fromkeys(values, at), time=at)


def _keys_of(source: str, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> dict[str, Any]:
    """One, or real and imaginary parts: documents know no complex numbers."""
    if dtype.kind != "c":
        return {_key(name): _described(source, dtype, shape, name)}
    half = np.empty(0, dtype).real.dtype
    return {f"{_key(name)}_{part}": _described(source, half, shape, name) for part in ("real", "imag")}


def _described(source: str, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> dict[str, Any]:
    single = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}.get(dtype.kind, "string")
    unit = unit_of(name)
    return {
        "source": f"labctl:{source}",
        "dtype": "array" if shape else single,
        "shape": [int(n) for n in shape],
        **({"dtype_numpy": dtype.str} if dtype.kind in "biuf" else {}),
        **({"units": unit} if unit else {}),
    }


def _values_of(name: str, value: Any) -> dict[str, Any]:
    value = np.asarray(value)
    if value.dtype.kind == "c":
        return {f"{_key(name)}_real": value.real.tolist(), f"{_key(name)}_imag": value.imag.tolist()}
    return {_key(name): value.tolist()}


def _key(name: str) -> str:
    """The event model allows neither dots nor strokes in names."""
    return name.replace(".", ":").replace("/", ":")


def _keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(str(key)): _keys(item) for key, item in value.items()}
    return [_keys(item) for item in value] if isinstance(value, (list, tuple)) else value


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return None if isinstance(value, float) and not np.isfinite(value) else value
