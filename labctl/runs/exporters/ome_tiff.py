"""Stacks of pictures as OME-TIFF, which microscopists' programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter, Stack, needed, size_of, stacks
from labctl.runs.units import unit_of


class OmeTiff(Exporter):
    """OME-TIFF: one .ome.tif for each series of frames or maps, and each array that is one."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Axes are time (steps) or none, planes, rows, columns; values are exact, of OME's types."""
        tifffile = needed("tifffile", "tifffile")
        exported = Exported()
        with run.reading() as arrays:
            for stack in stacks(arrays, exported):
                dtype = _type(stack)
                if dtype is None:
                    exported.left_out[stack.name] = f"{stack.dtype} numbers that none of OME's types can hold"
                    continue
                planes = size_of(stack.shape[1:-2])
                steps = stack.shape[0] if len(stack.shape) > 2 else 1
                path = folder / f"{stem}-{stack.name.replace('/', '-')}.ome.tif"
                unit = unit_of(stack.name.partition("-")[2])
                tifffile.imwrite(
                    path,
                    _as(stack, dtype),
                    shape=(steps, planes, *stack.shape[-2:]),
                    dtype=dtype,
                    ome=True,
                    photometric="minisblack",
                    compression="zlib",
                    metadata={
                        "axes": "TZYX",
                        "Name": stack.name,
                        "Description": f"{run.told['path']}: {run.told['protocol']}, seed {run.told['seed']}"
                        + (f"; in {unit}" if unit else ""),
                    },
                )
                exported.files.append(path)
        return exported


def _as(stack: Stack, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for picture in stack.pictures():
        yield picture.astype(dtype)


def _type(stack: Stack) -> np.dtype[Any] | None:
    """OME has integers of up to 32 bits, and floats of 32 and 64; None if neither holds all numbers exactly."""
    kind, size = stack.dtype.kind, stack.dtype.itemsize
    if kind == "b":
        return np.dtype(np.uint8)
    if kind == "f":
        return np.dtype(np.float32 if size <= 4 else np.float64)
    if size <= 4:
        return np.dtype(stack.dtype.newbyteorder("="))
    low = min(int(picture.min()) for picture in stack.pictures())
    high = max(int(picture.max()) for picture in stack.pictures())
    for narrower in (np.int32, np.uint32):
        if np.iinfo(narrower).min <= low and high <= np.iinfo(narrower).max:
            return np.dtype(narrower)
    return np.dtype(np.float64) if max(-low, high) <= 1 << 53 else None
