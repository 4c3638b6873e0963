"""Two runs side by side: which of their arrays and results are the same bit for bit, which within the noise that is
stated for them, and which are not.

Noise is stated by a run, as ``NAME_err`` beside ``NAME`` or, of a calibration, ``NAME.uncertainty`` beside
``NAME.value`` (one standard deviation), or by who asks. Without a statement only the same bits are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from drivers.errors import ConfigurationError
from labctl.plain import plain
from labctl.runs.data import BENCH_TIMES, Arrays, RunData

IDENTICAL, WITHIN, DIFFERENT, LEFT_OUT = "identical", "within noise", "different", "not compared"
FALSE_ALARM = 1e-4
"""For each array or result: chance that Gaussian noise, as stated, is taken for a difference."""
_BLOCK_BYTES = 32 << 20
_MACHINE_TIMES = re.compile(r"(.*[._/])?(seconds|cpu_s|wall_s|epoch_s|hours)")
"""Names under which runs keep how long the computer took."""
_BENCH_TIMES = re.compile(rf"(steps|results)/({'|'.join(BENCH_TIMES)}|bench_time_s)")
_PLACE = re.compile(r"\.(h5|png|npz|html|mid|json)$")

_Kept: TypeAlias = "h5py.Dataset | NDArray[Any] | str"


@dataclass(frozen=True)
class Compared:
    """One array or result. verdict: `IDENTICAL`, `WITHIN`, `DIFFERENT` or `LEFT_OUT`; why in words.

    largest: largest difference; sigmas: of it, in standard deviations of the difference, the bound being ``most``; None
    where there is none.
    """

    name: str
    verdict: str
    why: str = ""
    largest: float | None = None
    sigmas: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Of runs ``a`` and ``b``. setting: what they were made with that differs, as (of a, of b)."""

    a: RunData
    b: RunData
    setting: Mapping[str, tuple[Any, Any]]
    found: tuple[Compared, ...]

    @property
    def verdict(self) -> str:
        """The worst of all that were compared."""
        verdicts = {one.verdict for one in self.found}
        return next((v for v in (DIFFERENT, WITHIN) if v in verdicts), IDENTICAL)

    @property
    def same(self) -> bool:
        """Whether nothing differs by more than noise."""
        return self.verdict != DIFFERENT


def compare(a: RunData, b: RunData, noise: Mapping[str, float] | None = None) -> Comparison:
    """Compare all series, data and results.

    noise: standard deviations of single numbers by name, such as ``{"steps/frame": 3.0}`` or ``{"results/*": 0.01}``;
    they go before what the runs state. Of a run that is not complete, the steps that both have are compared and its
    results are not. ConfigurationError for noise of nothing.
    """
    noise = noise or {}
    real = "real" in (a.clock, b.clock)
    whole = a.status == b.status == "complete"
    with a.reading() as first, b.reading() as second:
        steps = None if whole else min(first.steps, second.steps)
        of_a, of_b = _kept(a, first), _kept(b, second)
        _refuse_noise_of_nothing(noise, of_a, a.name)
        found = [_one(name, of_a, of_b, noise, steps, real) for name in _in_order(of_a, of_b)]
    return Comparison(a, b, _setting(a, b), tuple(_noise_by_what_it_is_of(found)))


def check_noise(run: RunData, noise: Mapping[str, float]) -> None:
    """ConfigurationError for noise of what a run does not have, before it is made again to be compared."""
    with run.reading() as opened:
        _refuse_noise_of_nothing(noise, _kept(run, opened), run.name)


def _kept(run: RunData, opened: Arrays) -> dict[str, _Kept]:
    """All that is compared of a run, by name."""
    series: dict[str, _Kept] = {f"steps/{k}": v for k, v in opened.series.items()}
    return series | {f"data/{k}": v for k, v in opened.data.items()} | _results(run)


def _refuse_noise_of_nothing(noise: Mapping[str, float], kept: Iterable[str], run: str) -> None:
    unknown = [key for key in noise if not any(fnmatchcase(name, key) for name in kept)]
    if unknown:
        raise ConfigurationError(
            f"noise is stated of {', '.join(unknown)}, which {run} does not have; it has {', '.join(kept)}"
        )


def _one(
    name: str,
    of_a: Mapping[str, _Kept],
    of_b: Mapping[str, _Kept],
    noise: Mapping[str, float],
    steps: int | None,
    real: bool,
) -> Compared:
    x, y = of_a.get(name), of_b.get(name)
    if steps is not None and name.startswith("results/"):
        return Compared(name, LEFT_OUT, "one of the runs is not complete")
    if _MACHINE_TIMES.fullmatch(name):
        return Compared(name, LEFT_OUT, "how long the computer took")
    if real and _BENCH_TIMES.fullmatch(name):
        return Compared(name, LEFT_OUT, "time of a bench in real time")
    if x is None or y is None:
        return Compared(name, DIFFERENT, f"only in the {'second' if x is None else 'first'} run")
    if isinstance(x, str) or isinstance(y, str):
        return _texts(name, x, y)
    count = steps if name.startswith("steps/") else None
    lengths = (x.shape, y.shape) if count is None else ((count, *x.shape[1:]), (count, *y.shape[1:]))
    if lengths[0] != lengths[1] or x.dtype != y.dtype:
        return Compared(name, DIFFERENT, f"{x.dtype} {lengths[0]} and {y.dtype} {lengths[1]}")
    stated = next((sd for key, sd in noise.items() if fnmatchcase(name, key)), None)
    errors = of_a.get(_error_of(name)), of_b.get(_error_of(name))
    if stated is None and all(_is_noise_of(error, kept) for error, kept in zip(errors, (x, y), strict=True)):
        return _numbers(name, x, y, errors, count)
    return _numbers(name, x, y, stated, count)


def _error_of(name: str) -> str:
    """Calibrations have values and uncertainties in tables of these names."""
    return f"{name.removesuffix('.value')}.uncertainty" if name.endswith(".value") else f"{name}_err"


def _is_noise_of(error: object, kept: h5py.Dataset | NDArray[Any]) -> bool:
    return isinstance(error, (h5py.Dataset, np.ndarray)) and error.shape == kept.shape and error.dtype.kind in "iuf"


def _numbers(name: str, x: Any, y: Any, noise: Any, count: int | None) -> Compared:
    """noise: None, one standard deviation of each number, or a pair of arrays of them."""
    identical, largest, sigmas = True, 0.0, 0.0
    numeric = x.dtype.kind in "biufc"
    for part in _parts(x, count):
        p, q = np.asarray(x[part]), np.asarray(y[part])
        same = p.tobytes() == q.tobytes() if p.dtype.kind != "O" else bool(np.array_equal(p, q))
        if same or not numeric:
            identical &= same
            continue
        identical = False
        apart = _apart(p, q)
        largest = max(largest, float(apart.max(initial=0.0)))
        if noise is not None:
            e, f = (noise, noise) if isinstance(noise, float) else [np.asarray(n[part]) for n in noise]
            with np.errstate(divide="ignore", invalid="ignore"):
                z = np.where(apart == 0, 0.0, apart / np.hypot(e, f))
            sigmas = max(sigmas, float(np.where(np.isnan(z), np.inf, z).max(initial=0.0)))
    if identical:
        return Compared(name, IDENTICAL)
    if not numeric:
        return Compared(name, DIFFERENT, "other texts")
    if noise is None:
        return Compared(name, DIFFERENT, "no noise is stated for it", largest)
    size = int(np.prod(x.shape if count is None else (count, *x.shape[1:])))
    most = float(norm.isf(FALSE_ALARM / 2 / max(size, 1)))
    verdict = WITHIN if sigmas <= most else DIFFERENT
    return Compared(name, verdict, "", largest, sigmas, most)


def _apart(p: NDArray[Any], q: NDArray[Any]) -> NDArray[np.float64]:
    """Distance of each number; inf where only one is defined."""
    kind = np.complex128 if p.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        apart = np.abs(p.astype(kind) - q.astype(kind))
    equal = (p == q) | (np.isnan(p.astype(kind)) & np.isnan(q.astype(kind)))
    return np.where(equal, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _parts(x: Any, count: int | None) -> Iterator[Any]:
    if x.ndim == 0:
        yield ()
        return
    length = len(x) if count is None else count
    rows = max(1, _BLOCK_BYTES // max(1, int(x.dtype.itemsize * np.prod(x.shape[1:], dtype=np.int64))))
    for start in range(0, length, rows):
        yield slice(start, min(start + rows, length))


def _texts(name: str, x: _Kept, y: _Kept) -> Compared:
    if isinstance(x, str) and isinstance(y, str):
        if x == y:
            return Compared(name, IDENTICAL)
        if _PLACE.search(x) and _PLACE.search(y):
            return Compared(name, LEFT_OUT, "where it lies")
        return Compared(name, DIFFERENT, f"{x[:60]} and {y[:60]}")
    return Compared(name, DIFFERENT, "of another kind")


def _results(run: RunData) -> dict[str, _Kept]:
    """Numbers and lists of them as arrays, tables entry by entry, all else as text."""
    found: dict[str, _Kept] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                put(f"{name}.{key}", item)
        elif isinstance(value, np.ndarray):
            found[name] = value
        elif isinstance(value, (bool, int, float)) or value is None:
            found[name] = np.asarray(np.nan if value is None else value)
        else:
            found[name] = str(value) if isinstance(value, str) else _array_or_text(plain(value))

    for name, value in run.results.items():
        put(f"results/{name}", value)
    return found


def _array_or_text(value: Any) -> _Kept:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths
        return str(value)
    return array if array.dtype.kind in "biuf" else str(value)


def _noise_by_what_it_is_of(found: list[Compared]) -> Iterator[Compared]:
    """An error differs from run to run, too: it is judged by the number that it is the error of."""
    by_error = {_error_of(one.name): one for one in found}
    for one in found:
        of = by_error.get(one.name)
        if one.verdict == DIFFERENT and one.largest is not None and of is not None and of.verdict == WITHIN:
            yield Compared(one.name, WITHIN, f"the noise stated of {of.name}", one.largest)
        else:
            yield one


def _in_order(of_a: Mapping[str, _Kept], of_b: Mapping[str, _Kept]) -> Iterable[str]:
    return dict.fromkeys((*of_a, *of_b))


def _setting(a: RunData, b: RunData) -> dict[str, tuple[Any, Any]]:
    flat = [_made_with(run.told) for run in (a, b)]
    return {k: (flat[0].get(k), flat[1].get(k)) for k in _in_order(*flat) if flat[0].get(k) != flat[1].get(k)}


def _made_with(told: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: told.get(name) for name in ("protocol", "seed", "bench", "fingerprint", "status")}
    found["machine"] = told.get("at") or "this one"
    for name in ("parameters", "calibrations", "devices", "versions", "git", "recoveries", "interlocks"):
        table = told.get(name)
        found |= {f"{name}.{k}": v for k, v in table.items()} if isinstance(table, Mapping) else {name: table}
    return found
