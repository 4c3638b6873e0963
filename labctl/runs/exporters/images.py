"""The pictures of a run as PNG files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter, stacks

_WHITE = 65535


class Images(Exporter):
    """Pictures: a folder of .png, those that the experiment drew and one for each frame or map that it saved."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Whole numbers from 0 to 65535 are kept as they are, 8 or 16 bits; others are scaled to 16 bits, and the
        values of black and white are in the file as the texts ``black`` and ``white``."""
        exported, into = Exported(), folder / f"{stem}-images"
        into.mkdir()
        for drawn in run.told["pictures"]:
            shutil.copyfile(drawn, into / Path(drawn).name)
        with run.reading() as arrays:
            for stack in stacks(arrays, exported):
                for k, picture in enumerate(stack.pictures()):
                    image, info = _gray(picture)
                    image.save(into / f"{stack.name.replace('/', '-')}-{k:05}.png", pnginfo=info)
        if any(into.iterdir()):
            exported.files.append(into)
        return exported


def _gray(values: NDArray[Any]) -> tuple[Image.Image, PngInfo]:
    info = PngInfo()
    if values.dtype.kind in "bu" and values.dtype.itemsize <= 2:
        exact = values if values.dtype == np.uint8 else values.astype(np.uint16)
        return Image.fromarray(exact), info
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= _WHITE:
        return Image.fromarray(values.astype(np.uint16)), info
    sound = values[np.isfinite(values)]
    low, high = (float(sound.min()), float(sound.max())) if sound.size else (0.0, 0.0)
    info.add_text("black", repr(low))
    info.add_text("white", repr(high))
    scaled = (values.astype(np.float64) - low) * (_WHITE / (high - low) if high > low else 0.0)
    return Image.fromarray(np.rint(np.nan_to_num(scaled, posinf=_WHITE, neginf=0.0)).astype(np.uint16)), info
