"""Frames as pictures, for notebooks: counts as gray, saturated pixels in red."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_PIXELS = 640
"""Along the longer side. Larger frames are shown by the brightest pixel of each block, so that no spot is lost."""
_SATURATED = (230, 30, 30)


def png(data: NDArray[Any], saturated: int = 0) -> bytes:
    """Counts (rows, columns), from their smallest in black to their largest in white.

    saturated: how many pixels are: the brightest ones, which are red.
    """
    limit = np.partition(data, -saturated, axis=None)[-saturated] if 0 < saturated <= data.size else np.inf
    shown = _smaller(np.nan_to_num(np.asarray(data, np.float64)))
    low, high = float(shown.min()), float(shown.max())
    gray = (shown - low) * (255.0 / (high - low) if high > low else 0.0)
    pixels = np.repeat(np.rint(gray).astype(np.uint8)[:, :, None], 3, axis=2)
    pixels[shown >= limit] = _SATURATED
    from matplotlib import image  # takes a while to import, and only notebooks need it

    into = io.BytesIO()
    image.imsave(into, pixels, format="png")
    return into.getvalue()


def figure_html(data: NDArray[Any], caption: str, saturated: int = 0) -> str:
    """The picture with words below."""
    if data.ndim != 2 or not data.size:
        return f"<p>{escape(caption)}</p>"
    drawn = base64.b64encode(png(data, saturated)).decode()
    style = "image-rendering:pixelated;max-width:100%;min-width:min(100%,20em)"
    return (
        f'<figure><img style="{style}" alt="{escape(caption)}" src="data:image/png;base64,{drawn}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _smaller(data: NDArray[np.float64]) -> NDArray[np.float64]:
    block = -(-max(data.shape) // _MOST_PIXELS)
    if block == 1:
        return data
    rows, columns = (-(-n // block) * block for n in data.shape)
    padded = np.pad(data, ((0, rows - data.shape[0]), (0, columns - data.shape[1])), mode="edge")
    largest: NDArray[np.float64] = padded.reshape(rows // block, block, columns // block, block).max(axis=(1, 3))
    return largest
