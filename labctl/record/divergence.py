"""What tells a request from the one that was recorded: the first difference, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.record.wire import digest

_LONGEST = 80


def first_difference(recorded: Any, asked: Any, where: str = "arguments") -> str:
    """Where two requests' arguments first differ, and how; "" if nowhere."""
    if isinstance(recorded, np.ndarray) and isinstance(asked, np.ndarray):
        return _of_arrays(recorded, asked, where)
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for key in [*recorded, *(k for k in asked if k not in recorded)]:
            if key not in asked or key not in recorded:
                told = "recorded, not asked" if key in recorded else "asked, not recorded"
                return f"{where}.{key}: {_short(recorded.get(key, asked.get(key)))} was {told}"
            found = first_difference(recorded[key], asked[key], f"{where}.{key}")
            if found:
                return found
        return ""
    if isinstance(recorded, list) and isinstance(asked, list):
        for index, (one, other) in enumerate(zip(recorded, asked, strict=False)):
            found = first_difference(one, other, f"{where}[{index}]")
            if found:
                return found
        if len(recorded) != len(asked):
            return f"{where}: recorded {len(recorded)} of them, asked {len(asked)}"
        return ""
    if type(recorded) is type(asked) and (recorded == asked or repr(recorded) == repr(asked)):
        return ""
    return f"{where}: recorded {_short(recorded)}, asked {_short(asked)}"


def _of_arrays(recorded: NDArray[Any], asked: NDArray[Any], where: str) -> str:
    if recorded.shape == asked.shape and recorded.dtype == asked.dtype:
        if recorded.tobytes() == asked.tobytes():
            return ""
        # By bytes, as a nan is not even itself.
        one, other = (np.ascontiguousarray(a).reshape(-1) for a in (recorded, asked))
        rows = [a.view(np.uint8).reshape(one.size, -1) for a in (one, other)]
        differing = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
        at = tuple(int(i) for i in np.unravel_index(differing[0], recorded.shape))
        place = f"; first at {at}: recorded {recorded[at]}, asked {asked[at]}; {differing.size} of {one.size} differ"
    else:
        place = ""
    return f"{where}: recorded {_array(recorded)}, asked {_array(asked)}{place}"


def _array(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape} {digest(np.ascontiguousarray(array).tobytes()).hex()[:12]}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _array(value)
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
