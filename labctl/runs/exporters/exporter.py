"""What an exporter is, and what several of them need."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.runs.data import Arrays, RunData
from labctl.runs.plot import is_picture


@dataclass
class Exported:
    """What an exporter wrote: files and folders, and what it left out, by name and with the reason."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


class Exporter(ABC):
    """Writes a run in another format. Registered under ``labctl.exporters`` by the name of the format; the first line
    of its docstring says what that is."""

    @abstractmethod
    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Write into ``folder``, which is empty, under names that begin with ``stem``.

        Nothing written means that the run has nothing for this format. Arrays are read a part at a time where they may
        be large. Raises ConfigurationError if what it needs is not installed; see `needed`.
        """


@dataclass(frozen=True)
class Stack:
    """Pictures of one name. shape: (…, rows, columns)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _kept: Any

    def pictures(self) -> Iterator[NDArray[Any]]:
        """One after the other, (rows, columns), the first axis slowest."""
        entries = self._kept[()][None] if len(self.shape) == 2 else (self._kept[k] for k in range(self.shape[0]))
        for entry in entries:
            yield from np.asarray(entry).reshape(-1, *self.shape[-2:])


def stacks(arrays: Arrays, exported: Exported) -> Iterator[Stack]:
    """Series and arrays that are pictures; complex ones are told as left out."""
    kept: list[tuple[str, Any, tuple[int, ...]]] = [
        *((f"steps-{name}", s, (arrays.steps, *s.shape[1:])) for name, s in arrays.series.items() if s.ndim > 2),
        *((f"data-{name}", a, tuple(a.shape)) for name, a in arrays.data.items()),
    ]
    for name, array, shape in kept:
        if not is_picture(shape) or 0 in shape or array.dtype.kind not in "biufc":
            continue
        if array.dtype.kind == "c":
            exported.left_out[name] = "complex numbers; take nexus or npz"
        else:
            yield Stack(name, shape, array.dtype, array)


def needed(module: str, package: str) -> ModuleType:
    """An optional library. ConfigurationError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigurationError(f"{package} is not installed; pip install 'labctl[export]'") from None


def size_of(shape: Sequence[int]) -> int:
    """How many numbers."""
    return int(np.prod(shape, dtype=np.int64))
