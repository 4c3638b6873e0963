"""Lists of numbers, real or complex, as ``--set`` may give them: with commas, or as a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

_SUFFIXES = (".npy", ".csv", ".txt")
_SHOWN = 60


def _number(text: str) -> float | complex:
    """0.5, -1e-3, 0.1+0.2j, 1-0.5i."""
    try:
        value = complex(text.strip().replace("i", "j") if "inf" not in text else text.strip())
    except ValueError:
        raise ValueError(f"{text.strip()[:_SHOWN]!r} is no number; write for example 0.5, 1e-3 or 0.1+0.2j") from None
    if not np.isfinite(value):
        raise ValueError(f"{text.strip()[:_SHOWN]!r} is not finite; give finite numbers")
    return value.real if value.imag == 0 else value


def _from_file(path: Path) -> Iterable[Any]:
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False)).ravel().tolist()
        text = path.read_text(encoding="utf-8").replace("\n", ",").replace(";", ",")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as numbers: {error}") from None
    return [item for item in text.split(",") if item.strip()]


def _numbers(given: object) -> object:
    if given is None:
        return None
    if isinstance(given, Path):
        given = [str(given)]
    elif isinstance(given, (str, int, float, complex)):
        given = [given]
    if not isinstance(given, Iterable):
        return given
    found: list[float | complex] = []
    for item in np.ravel(np.array(list(given), dtype=object)):
        if isinstance(item, str) and item.strip().lower().endswith(_SUFFIXES):  # given as a list of one
            found += [_number(str(x)) for x in _from_file(Path(item.strip()))]
            continue
        text = str(item).replace(";", ",").strip("[] ")
        found += [_number(part) for part in text.split(",") if part.strip()]
    return tuple(found)


Numbers = Annotated[tuple[float | complex, ...], BeforeValidator(_numbers)]
"""One or more numbers: a list, text with commas (semicolons between rows, if you like), or a .npy, .csv, .txt file."""


def array(values: Iterable[float | complex]) -> NDArray[np.complex128]:
    """As an array (n,)."""
    return np.array(list(values), np.complex128)
