"""Our values, with their errors, beside published ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.reproduce.paper import Compared

SIGMAS = 4.0
"""Standard errors of both by which a value may differ before the tolerance counts: false alarm 6e-5 for errors that are
known, 1.6 % for those told by the scatter of five measurements, 0.4 % of ten."""

_STEP = re.compile(r"([^\[\].]+)|\[(-?[0-9]+)\]")


@dataclass(frozen=True)
class Row:
    """A value, and what was published for it.

    ours, error: None where the figure has no such number, or nothing tells its error. error_from: in words. difference:
    ours less what was published. sigmas: the difference in standard errors of both, None without any. allowed: the
    largest difference that is. ok: None where nothing is judged.
    """

    compared: Compared
    ours: float | None
    error: float | None
    error_from: str
    difference: float | None
    sigmas: float | None
    allowed: float | None
    ok: bool | None

    @property
    def verdict(self) -> str:
        """In words, how the two stand to each other."""
        if self.ours is None:
            return "the figure has no such number"
        if self.difference is None:
            return "nothing was published"
        apart = f"{self.difference:+.3g} apart"
        if self.sigmas is not None:
            apart += f", {abs(self.sigmas):.1f} standard errors"
        if self.allowed is None:
            return f"{apart}; not judged"
        return f"{apart}; {self.allowed:.3g} allowed" + ("" if self.ok else ": missed")


def row_of(compared: Compared, runs: Sequence[Mapping[str, Any]], quick: bool) -> Row:
    """A value of all measurements (at least one) beside the published one."""
    found = [number_at(values, compared.value) for values in runs]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(runs) or not runs:
        judged = compared.within is not None
        return Row(compared, None, None, "", None, None, None, False if judged else None)
    ours = float(np.mean(numbers))
    error, error_from = _error(compared, runs, numbers)
    if compared.published is None:
        return Row(compared, ours, error, error_from, None, None, None, None)
    difference = ours - compared.published
    both = math.hypot(error or 0.0, compared.error or 0.0)
    sigmas = difference / both if both else None
    within = compared.quick if quick and compared.quick is not None else compared.within
    if within is None:
        return Row(compared, ours, error, error_from, difference, sigmas, None, None)
    allowed = within + SIGMAS * both
    return Row(compared, ours, error, error_from, difference, sigmas, allowed, abs(difference) <= allowed)


def _error(compared: Compared, runs: Sequence[Mapping[str, Any]], numbers: Sequence[float]) -> tuple[float | None, str]:
    """Standard error of the mean of ``numbers``, and where it comes from."""
    if len(numbers) > 1:
        error = float(np.std(numbers, ddof=1) / math.sqrt(len(numbers)))
        return error, f"scatter of {len(numbers)} measurements" if error else f"{len(numbers)} measurements are alike"
    name = compared.stated_error or _error_name(compared.value)
    stated = number_at(runs[0], name)
    return (None, "none is known") if stated is None else (abs(stated), "as the figure states it")


def _error_name(value: str) -> str:
    name, bracket, rest = value.partition("[")
    return f"{name}_err{bracket}{rest}"


def number_at(values: Mapping[str, Any], path: str) -> float | None:
    """The number at ``NAME``, ``NAME[1][0]`` or ``NAME.KEY``; None if there is none. A name may have dots itself."""
    if path in values:
        return _number(values[path])
    at: Any = values
    for key, index in _STEP.findall(_first_name(values, path)):
        if index:
            if not isinstance(at, (list, tuple)) or not -len(at) <= int(index) < len(at):
                return None
            at = at[int(index)]
        else:
            key = key.replace("\0", ".")
            if not isinstance(at, Mapping) or key not in at:
                return None
            at = at[key]
    return _number(at)


def _first_name(values: Mapping[str, Any], path: str) -> str:
    """The path, dots of its first name hidden."""
    name, bracket, rest = path.partition("[")
    return name.replace(".", "\0") + bracket + rest if name in values else path


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None


def with_error(value: float | None, error: float | None = None) -> str:
    """A number with its error: two digits of that, and no more of the number than it says."""
    if value is None:
        return "–"
    if not error or not math.isfinite(error):
        return f"{value:.7g}"
    decimals = 1 - math.floor(math.log10(error))
    if 1e-3 <= max(abs(value), error) < 1e7 and decimals >= 0:
        return f"{value:.{min(decimals, 12)}f} ± {error:.{min(decimals, 12)}f}"
    return f"{value:.{_digits(value, error)}g} ± {error:.2g}"


def _digits(value: float, error: float) -> int:
    if value == 0:
        return 1
    return max(1, min(12, math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2))
