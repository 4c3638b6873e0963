"""The trained machine as a value: couplings and fields of an RBM, and the files that hold them."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

FloatArray = npt.NDArray[np.float64]

_KEYS = ("W", "a", "b")
_ALLOWED_KEYS = "W (N_v, N_h), and optionally a (N_v,) and b (N_h,)"


@dataclass(frozen=True, eq=False)
class RBM:
    """H = -Σ W_ij v_i h_j - a·v - b·h over spins ±1 (arXiv 2508.20472), in units of the temperature's scale.

    ``weights`` W (N_v, N_h), ``visible_bias`` a (N_v,), ``hidden_bias`` b (N_h,): float64, finite, read-only
    copies. Raises `ConfigurationError` for other shapes or values.
    """

    weights: FloatArray
    visible_bias: FloatArray
    hidden_bias: FloatArray

    def __post_init__(self) -> None:
        W, a, b = _checked("RBM", {"W": self.weights, "a": self.visible_bias, "b": self.hidden_bias})
        object.__setattr__(self, "weights", W)
        object.__setattr__(self, "visible_bias", a)
        object.__setattr__(self, "hidden_bias", b)

    @classmethod
    def of(cls, where: str, found: Mapping[str, Any]) -> RBM:
        """From lists or arrays under the keys W and, if wanted, a and b; errors begin with ``where``."""
        return cls(*_checked(where, found))

    @property
    def n_visible(self) -> int:
        """Number of visible spins N_v."""
        return len(self.visible_bias)

    @property
    def n_hidden(self) -> int:
        """Number of hidden spins N_h."""
        return len(self.hidden_bias)

    @property
    def transposed(self) -> RBM:
        """The same machine with the layers' roles exchanged: W transposed, a for b."""
        return RBM(self.weights.T, self.hidden_bias, self.visible_bias)

    @property
    def content_id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of sizes and values; equal machines have equal ids."""
        digest = hashlib.sha256(f"rbm {self.n_visible} {self.n_hidden}\n".encode())
        for array in (self.weights, self.visible_bias, self.hidden_bias):
            # Adding zero turns -0.0 into 0.0, which compares equal and so must hash equal.
            digest.update((array + 0.0).astype("<f8").tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file with the arrays W, a and b. Raises `ConfigurationError` on failure."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ConfigurationError(f"{path}: a model is saved as .npz")
        try:
            with path.open("wb") as file:
                np.savez(file, W=self.weights, a=self.visible_bias, b=self.hidden_bias)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written ({error})") from error

    @classmethod
    def load(cls, path: str | Path) -> RBM:
        """Read ``.npz`` (without pickle) or ``.json`` with keys W, a and b; absent a or b are zero.

        Raises `ConfigurationError` naming the file, the key, what was found and what is allowed.
        """
        path = Path(path)
        if path.suffix not in (".npz", ".json"):
            raise ConfigurationError(f"{path}: suffix {path.suffix!r}; allowed: .npz, .json")
        found = _read_npz(path) if path.suffix == ".npz" else read_json(path, _KEYS)
        return cls.of(str(path), found)


def _checked(where: str, found: Mapping[str, Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    unknown = sorted(set(found) - set(_KEYS))
    if unknown:
        raise ConfigurationError(f"{where}: unknown key {', '.join(unknown)}; allowed: {_ALLOWED_KEYS}")
    if "W" not in found:
        raise ConfigurationError(f"{where}: key W is missing; allowed: {_ALLOWED_KEYS}")
    W = numbers(where, "W", found["W"])
    if W.ndim != 2 or 0 in W.shape:
        raise ConfigurationError(f"{where}: key W: shape {W.shape}; allowed: (N_v, N_h), both at least 1")
    layers = [W]
    for key, length in (("a", W.shape[0]), ("b", W.shape[1])):
        bias = numbers(where, key, found[key]) if key in found else np.zeros(length)
        if bias.shape != (length,):
            raise ConfigurationError(f"{where}: key {key}: shape {bias.shape}; allowed with W {W.shape}: ({length},)")
        layers.append(bias)
    for array in layers:
        array.setflags(write=False)
    return layers[0], layers[1], layers[2]


def numbers(where: str, key: str, value: Any) -> FloatArray:
    """``value`` as a new float64 array, refused if anything in it is not a finite real number."""
    if not isinstance(value, np.ndarray):
        value = _array_of_lists(where, key, value)
    if value.dtype.kind not in "iuf":
        raise ConfigurationError(f"{where}: key {key}: {value.dtype} values; allowed: real numbers")
    with np.errstate(over="ignore"):
        numbers = np.array(value, np.float64, order="C")
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        at = ", ".join(str(i) for i in bad[0])
        raise ConfigurationError(f"{where}: key {key}: {numbers[tuple(bad[0])]} at [{at}]; allowed: finite numbers")
    return numbers


def _array_of_lists(where: str, key: str, value: Any) -> npt.NDArray[Any]:
    try:
        array = np.array(value, dtype=object)
    except ValueError as error:
        raise ConfigurationError(f"{where}: key {key}: rows of unequal length; allowed: a full array") from error
    # Looked at one by one: numpy alone would take true for 1, and would not say where a string stands.
    for at, item in np.ndenumerate(array):
        if isinstance(item, list):
            raise ConfigurationError(f"{where}: key {key}: rows of unequal length; allowed: a full array")
        if isinstance(item, bool) or not isinstance(item, int | float | np.integer | np.floating):
            index = ", ".join(str(i) for i in at)
            raise ConfigurationError(f"{where}: key {key}: {item!r} at [{index}]; allowed: real numbers")
    return np.array([_as_float(item) for item in array.flat], np.float64).reshape(array.shape)


def _as_float(item: int | float) -> float:
    try:
        return float(item)
    except OverflowError:
        return math.inf


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ConfigurationError(f"{path}: not an .npz archive; allowed: {_ALLOWED_KEYS}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigurationError(f"{path}: cannot be read as .npz ({error}); allowed: {_ALLOWED_KEYS}") from error


def read_json(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """An object from a JSON file, its keys among ``keys``; errors name the file and what is wrong."""
    allowed = f"an object with the keys {', '.join(keys)}"

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigurationError(f"{path}: key {key} occurs {keys.count(key)} times; allowed: once")
        return dict(pairs)

    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: cannot be read as JSON ({error}); allowed: {allowed}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path}: a {type(found).__name__}; allowed: {allowed}")
    unknown = sorted(set(found) - set(keys))
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {', '.join(unknown)}; allowed: {allowed}")
    return found
