"""What a calibration is: named numbers with units and uncertainties, and everything needed to trust them later."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.contract import Identity
from drivers.errors import LimitError
from labctl.environment import git_state, versions

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ID = re.compile(r"[0-9a-f]{64}")


class Measured:
    """A number or an array, its unit and its standard uncertainty.

    value: any shape; bool, integer, real or complex. unit: as written, "1" for pure numbers ("counts", "rad", "W").
    uncertainty: one standard deviation, of the value's shape or one number for all of it; None where none is known.
    Raises LimitError if these do not fit one another.
    """

    __slots__ = ("uncertainty", "unit", "value")

    def __init__(self, value: ArrayLike, unit: str = "1", uncertainty: ArrayLike | None = None) -> None:
        self.value: NDArray[Any] = np.asarray(value)
        self.unit = unit
        self.uncertainty: NDArray[np.float64] | None = None
        if self.value.dtype.kind not in "biufc":
            raise LimitError(f"a measured value of type {self.value.dtype}; numbers, or arrays of numbers, are needed")
        if not unit or not unit.isprintable():
            raise LimitError(f'unit {unit!r} of a measured value; a text is needed, "1" for a pure number')
        if uncertainty is not None:
            self.uncertainty = np.asarray(uncertainty, dtype=np.float64)
            if self.uncertainty.shape not in ((), self.value.shape):
                raise LimitError(
                    f"uncertainties of shape {self.uncertainty.shape} for values of {self.value.shape}; one number, or "
                    "one for each value, is needed"
                )
            if np.any(self.uncertainty < 0):
                raise LimitError(f"an uncertainty of {self.uncertainty.min():g} {unit}; it cannot be negative")

    @property
    def number(self) -> float:
        """The value as a float. LimitError if it is an array."""
        if self.value.size != 1 or self.value.dtype.kind == "c":
            raise LimitError(f"a single real number is asked for, but it is {self.value.dtype} {self.value.shape}")
        return float(self.value.reshape(()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Measured) or self.unit != other.unit or self.value.dtype != other.value.dtype:
            return False
        none = self.uncertainty is None, other.uncertainty is None
        return _same(self.value, other.value) and none[0] == none[1] and (
            self.uncertainty is None or other.uncertainty is None or _same(self.uncertainty, other.uncertainty)
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.value.size != 1:
            return f"<{self.value.dtype} {self.value.shape} {self.unit}>"
        error = "" if self.uncertainty is None else f" ± {float(self.uncertainty.reshape(())):.2g}"
        return f"<{self.value.reshape(())[()]:.6g}{error} {self.unit}>"


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


@dataclass(frozen=True, kw_only=True)
class Check:
    """One number by which a routine judged itself; it passed if it is finite and lies from ``low`` to ``high``."""

    name: str
    value: float
    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf

    @property
    def passed(self) -> bool:
        """Whether the number is what it must be."""
        return math.isfinite(self.value) and self.low <= self.value <= self.high

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        low, high = math.isfinite(self.low), math.isfinite(self.high)
        bound = f"{self.low:.4g} to {self.high:.4g}" if low and high else ""
        bound = bound or (f"at least {self.low:.4g}" if low else f"at most {self.high:.4g}" if high else "finite")
        return f"{self.name}: {self.value:.4g}{unit} ({bound})"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A device's setting outside of which a calibration does not hold. setting: ``ROLE.SETTING``, a number, in SI."""

    setting: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = "1"

    def __post_init__(self) -> None:
        role, dot, name = self.setting.partition(".")
        if not (role and dot and _NAME.fullmatch(name)) or not self.low <= self.high:
            raise LimitError(
                f"a condition on {self.setting!r} from {self.low:g} to {self.high:g}; ROLE.SETTING and a range are "
                "needed"
            )

    def met(self, value: float) -> bool:
        """Whether the setting's value lies in the range."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        bound = f"{self.low:.6g}" if self.low == self.high else f"{self.low:.6g} to {self.high:.6g}"
        return f"{self.setting} = {bound}{unit}"


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """Where the raw data are: a run file as it was named, and the SHA-256 of its bytes, by which it is known again."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Header:
    """All of a calibration but its arrays: what lists, checks of validity and the index go by.

    kind: what it is ("dark", "phase_table", "slm-camera"); one is in force per bench, role and kind. routine: what
    made it. bench, role: where; role is the device it is about. devices: identity of every device it holds for, by
    role, with ``role`` among them. conditions: numbers with a unit under which it was measured. holds_while: settings
    of devices outside of which it does not hold. valid_until: UTC, None for no end. parents: ids of calibrations it
    stands on. checks: what the routine checked of itself. id: SHA-256 of the file, "" until the store has given it.
    """

    kind: str
    routine: str
    bench: str
    role: str
    devices: Mapping[str, Identity]
    conditions: Mapping[str, Measured] = field(default_factory=dict)
    holds_while: tuple[Condition, ...] = ()
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    valid_until: datetime | None = None
    run: RunFile | None = None
    parents: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    software: Mapping[str, str] = field(default_factory=versions)
    git: Mapping[str, str] = field(default_factory=git_state)
    id: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Raises LimitError that names what cannot be kept."""
        if not _KIND.fullmatch(self.kind):
            raise LimitError(f"a calibration of kind {self.kind!r}; small letters, digits, - and _ are allowed")
        for what in ("routine", "bench", "role"):
            text = getattr(self, what)
            if not isinstance(text, str) or not text or not text.isprintable():
                raise LimitError(f"a calibration with {what} {text!r}; a name is needed")
        if self.role not in self.devices:
            raise LimitError(f"{self.kind}: no identity of its device {self.role!r}, only of {_list(self.devices)}")
        _named("condition", self.conditions)
        for name, condition in self.conditions.items():
            if condition.value.size != 1 or not np.isfinite(condition.value).all():
                raise LimitError(f"condition {name} = {condition}: one finite number is needed")
        for when in (self.made, self.valid_until):
            if when is not None and when.tzinfo is None:
                raise LimitError(f"{self.kind}: {when} has no time zone; give UTC")
        for parent in self.parents:
            if not _ID.fullmatch(parent):
                raise LimitError(f"parent {parent!r}: the id of a calibration, 64 hexadecimal digits, is needed")

    @property
    def short_id(self) -> str:
        """As much of the id as people write."""
        return self.id[:12]

    @property
    def title(self) -> str:
        """For messages: ``dark 1a2b3c4d5e6f of camera (camera.dark, 2026-03-01 10:00 UTC)``."""
        made = self.made.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"{self.kind} {self.short_id} of {self.role} ({self.routine}, {made})"


@dataclass(frozen=True, kw_only=True)
class Calibration(Header):
    """A calibration: its header and its values by name."""

    values: Mapping[str, Measured]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.values:
            raise LimitError(f"{self.kind}: a calibration without a value")
        _named("value", self.values)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The value ``name`` as a numpy array, without its unit."""
        return self._measured(name).value

    def number(self, name: str) -> float:
        """The value ``name`` as a float, without its unit."""
        return self._measured(name).number

    def uncertainty(self, name: str) -> NDArray[np.float64]:
        """Standard uncertainty of the value ``name``, of its shape; nan where none is known."""
        measured = self._measured(name)
        error = np.nan if measured.uncertainty is None else measured.uncertainty
        return np.broadcast_to(np.asarray(error, dtype=np.float64), measured.value.shape)

    @property
    def header(self) -> Header:
        """All but the arrays."""
        return Header(**{f.name: getattr(self, f.name) for f in fields(Header)})

    def _measured(self, name: str) -> Measured:
        if name not in self.values:
            raise LimitError(f"calibration {self.title} has no value {name!r}; it has {_list(self.values)}")
        return self.values[name]


def _named(what: str, table: Mapping[str, Measured]) -> None:
    for name, value in table.items():
        if not _NAME.fullmatch(name):
            raise LimitError(f"{what} {name!r}: letters, digits and _ are allowed, a letter first")
        if not isinstance(value, Measured):
            raise LimitError(f"{what} {name} is a {type(value).__name__}; Measured(value, unit, uncertainty) is needed")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
