"""The state from which a run goes on: one file beside the run file, replaced whole with every checkpoint.

It is an ``.npz`` archive, which numpy reads and whose checksums tell a spoilt one: ``labctl`` is a JSON text,
``state_NAME`` and ``late_NAME`` are the arrays, ``table`` the bytes of a frozen table. A process that is killed while
it writes leaves the checkpoint before.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from drivers.errors import ConfigurationError

_LAYOUT = 2
_READ = (1, 2)
_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


@dataclass(frozen=True)
class Checkpoint:
    """Where a run was.

    steps: saved so far. loop, index: which of the run's loops of steps it was in, counted from 0 (-1: in none yet), and
    the step to do next there (None: none). rng: state of the recorder's bit generator. state: what the protocol gave.
    late: arrays of the whole run that are not in the run file yet. table: bytes of a frozen simulated table, if the run
    was on one.
    """

    steps: int
    loop: int
    index: int | None
    rng: Mapping[str, Any]
    state: Mapping[str, Any]
    late: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    table: np.ndarray[Any, Any] | None = None


def write(path: Path, checkpoint: Checkpoint, *, durable: bool = False) -> None:
    """Put a checkpoint in the place of the one before; it is there whole, or the one before is.

    durable: it is on the disk afterwards, whatever happens to the machine. Raises ConfigurationError for a state that
    cannot be kept.
    """
    plain: dict[str, Any] = {}
    arrays = {f"late_{name}": array for name, array in checkpoint.late.items()}
    for name, value in checkpoint.state.items():
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind != "O":
            arrays[f"state_{name}"] = np.asarray(value)
            plain[name] = "scalar" if isinstance(value, np.generic) else "array"
        elif isinstance(value, np.random.Generator) and type(value.bit_generator).__name__ in _GENERATORS:
            plain[name] = {"generator": _listed(value.bit_generator.state)}
        elif value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = [value]
        else:
            raise ConfigurationError(
                f"checkpoint of {name}: a {type(value).__name__} cannot be kept; allowed: arrays of numbers or text, "
                "numbers, text, None, and numpy's random generators"
            )
    head = {
        "layout": _LAYOUT,
        "steps": checkpoint.steps,
        "loop": checkpoint.loop,
        "index": checkpoint.index,
        "rng": _listed(checkpoint.rng),
        "state": plain,
        "late": list(checkpoint.late),
        "table": checkpoint.table is not None,
    }
    if checkpoint.table is not None:
        arrays["table"] = checkpoint.table
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    aside = path.with_suffix(f"{path.suffix}-new")
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, labctl=text, **arrays)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(aside, path)


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at ``path``, None if there is none. Raises ConfigurationError if it is spoilt."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; make it readable, or begin with --anew") from None
    try:
        return _read(data, path)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - zip, npy and JSON each fail in many ways on bytes that may be anybody's
        raise ConfigurationError(
            f"{path} is no whole checkpoint ({type(error).__name__}: {error}); restore it, or begin the run anew with "
            "--anew"
        ) from None


def _read(data: bytes, path: Path) -> Checkpoint:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            # As numpy wrote it: what is not compressed takes no more memory than it does on the disk.
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):
                raise ValueError(f"{member.filename!r:.80} is not as it was written")
            with archive.open(member) as kept:
                _must_fit(kept, member)
    # From memory: numpy leaves a file that it cannot read open.
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        head = json.loads(file["labctl"].tobytes())
        if head["layout"] not in _READ:
            raise ConfigurationError(
                f"{path} has layout {head['layout']}, this version of labctl reads {_READ}; resume with the version "
                "that wrote it"
            )
        state = {str(name): _value(kept, name, file) for name, kept in head["state"].items()}
        late = {str(name): file[f"late_{name}"] for name in head["late"]}
        table = file["table"] if head.get("table") else None
    steps, loop, index, rng = head["steps"], head["loop"], head["index"], head["rng"]
    whole = all(type(n) is int for n in (steps, loop, 0 if index is None else index))
    if not whole or steps < 0 or loop < -1 or (index or 0) < 0:
        raise ValueError(f"steps {steps!r:.40}, loop {loop!r:.40}, index {index!r:.40}")
    _generator(rng)
    return Checkpoint(steps, loop, index, rng, state, late, table)


def _must_fit(kept: IO[bytes], member: zipfile.ZipInfo) -> None:
    """ValueError if an array's header claims more than there is: numpy would make room for it first."""
    version = np.lib.format.read_magic(kept)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(kept)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename!r:.80} claims {shape!r:.80} of {dtype}")


def _value(kept: Any, name: str, file: Any) -> Any:
    if isinstance(kept, list):
        return kept[0]
    if isinstance(kept, dict):
        return _generator(kept["generator"])
    array = file[f"state_{name}"]
    return array[()] if kept == "scalar" else array


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator in this state. ValueError, KeyError or TypeError for what is none: its compiled code does not look
    where it reads."""
    place, last = {"MT19937": ("pos", 624), "Philox": ("buffer_pos", 4)}.get(state["bit_generator"], ("", 0))
    found = state["state"].get(place) if place == "pos" else state.get(place)
    if place and not (type(found) is int and 0 <= found <= last):
        raise ValueError(f"{place} {found!r:.40} of a generator")
    generator = np.random.Generator(_GENERATORS[state["bit_generator"]]())
    generator.bit_generator.state = state
    return generator


def _listed(state: Any) -> Any:
    """The state of a bit generator in JSON's types; numpy takes it back from them."""
    if isinstance(state, Mapping):
        return {key: _listed(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
