"""The machinery behind the contract: settings with unit, limits and read-back, operations, and their description.

A kind declares ``exposure_s = setting(float, unit="s")`` and a driver supplies ``_read_exposure_s`` and
``_write_exposure_s``. Type and limits are checked here, once for every backend, and proxies, the command line and
a run's snapshot are derived from the description, so nothing is written twice.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, overload

import msgspec

from drivers.errors import ConfigurationError, LimitError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

UNIT_SUFFIX = {"s": "_s", "W": "_w", "m": "_m", "1": "_fraction", "Hz": "_hz", "K": "_k", "rad": "_rad"}
"""Suffix of a setting's name for its unit; a bench file leaves it out, since the value carries the unit."""

VALUE_TYPES: dict[str, type[Value]] = {}


class Value(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """Base of the structured values that cross the bus. Subclasses are found again by their name."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        VALUE_TYPES[cls.__name__] = cls


class Limits(Value, frozen=True):
    """Smallest and largest allowed value; None where there is none."""

    minimum: float | None = None
    maximum: float | None = None

    def tightened(self, other: Limits) -> Limits:
        """The values that both allow."""
        lows = [x for x in (self.minimum, other.minimum) if x is not None]
        highs = [x for x in (self.maximum, other.maximum) if x is not None]
        return Limits(minimum=max(lows, default=None), maximum=min(highs, default=None))


class SettingInfo(Value, frozen=True):
    """What a setting is, for proxies, forms and checks."""

    name: str
    value_type: str
    unit: str | None
    limits: Limits
    choices: tuple[str, ...] | None
    read_only: bool
    needs_lease: bool
    doc: str

    @property
    def file_key(self) -> str:
        """The setting's name in a bench file: without the unit suffix, since there the value carries the unit."""
        suffix = UNIT_SUFFIX.get(self.unit or "", "")
        return self.name.removesuffix(suffix) if suffix else self.name


class OperationInfo(Value, frozen=True):
    """What an operation is; ``observes`` marks those that change nothing and need no control of the device."""

    name: str
    signature: str
    observes: bool
    doc: str


class DeviceDescription(Value, frozen=True):
    """Everything a proxy is derived from."""

    name: str
    kind: str
    backend: str
    doc: str
    settings: list[SettingInfo]
    operations: list[OperationInfo]
    parts: list[str] = []
    """Names of the devices that a composite is made of."""


class setting(Generic[T]):
    """A typed device setting.

    Parameters
    ----------
    value_type: ``float``, ``int``, ``bool``, ``str`` or a `Value` type.
    unit: SI unit, repeated as the suffix of the name.
    minimum, maximum: what the kind allows; an instrument or a bench file may narrow it (`Device.restrict`).
    needs_lease: writing it to a true value is refused without a lease (emission).
    """

    def __init__(
        self,
        value_type: type[T],
        *,
        unit: str | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: tuple[str, ...] | None = None,
        read_only: bool = False,
        needs_lease: bool = False,
        doc: str,
    ) -> None:
        self.value_type = value_type
        self.unit = unit
        self.limits = Limits(minimum=minimum, maximum=maximum)
        self.choices = choices
        self.read_only = read_only
        self.needs_lease = needs_lease
        self.doc = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, device: None, owner: type) -> setting[T]: ...
    @overload
    def __get__(self, device: Configurable, owner: type) -> T: ...
    def __get__(self, device: Configurable | None, owner: type) -> setting[T] | T:
        if device is None:
            return self
        value: T = getattr(device, f"_read_{self.name}")()
        return value

    def __set__(self, device: Configurable, value: T) -> None:
        if self.read_only:
            raise LimitError(f"{device.name}.{self.name} is read-only")
        getattr(device, f"_write_{self.name}")(self.check(device, value))

    def check(self, device: Configurable, value: Any) -> Any:
        """The value as it would be written. Raises LimitError if it cannot be; nothing is changed."""
        checked = self._typed(device, value)
        self._within(device, checked)
        return checked

    def _typed(self, device: Configurable, value: Any) -> Any:
        wanted = self.value_type
        fits = isinstance(value, wanted)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if wanted is int and isinstance(value, bool):
            fits = False
        if not fits or (wanted is float and not math.isfinite(value)):
            unit = f" in {self.unit}" if self.unit and self.unit != "1" else ""
            raise LimitError(
                f"{device.name}.{self.name} = {value!r}: a finite {wanted.__name__}{unit} is needed"
                if wanted is float
                else f"{device.name}.{self.name} = {value!r}: a {wanted.__name__} is needed"
            )
        return value

    def _within(self, device: Configurable, value: Any) -> None:
        if self.choices is not None and value not in self.choices:
            raise LimitError(f"{device.name}.{self.name} = {value!r}: choose one of {', '.join(self.choices)}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            limits = device.limits(self.name)
            low, high = limits.minimum, limits.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise LimitError(
                    f"{device.name}.{self.name} = {value:.12g} {self.unit or ''}".rstrip()
                    + f" is outside {'-inf' if low is None else f'{low:.12g}'}"
                    + f" to {'inf' if high is None else f'{high:.12g}'}; nothing was changed"
                )

    def info(self, limits: Limits) -> SettingInfo:
        """The description that proxies are made from."""
        return SettingInfo(
            name=self.name,
            value_type=self.value_type.__name__,
            unit=self.unit,
            limits=limits,
            choices=self.choices,
            read_only=self.read_only,
            needs_lease=self.needs_lease,
            doc=self.doc,
        )


def operation(*, observes: bool = False) -> Callable[[F], F]:
    """Mark a method as callable over the bus; ``observes`` where it changes nothing."""

    def mark(method: F) -> F:
        method.__operation__ = observes  # type: ignore[attr-defined]
        return method

    return mark


class Configurable:
    """A named object with settings and operations that can be listed, read, written and restricted."""

    kind: ClassVar[str] = ""
    backend: ClassVar[str] = "real"

    def __init__(self, name: str) -> None:
        self.name = name
        self._limits: dict[str, Limits] = {}

    @classmethod
    def declared_settings(cls) -> dict[str, setting[Any]]:
        """Settings of the class by name, base classes first."""
        return _declared_settings(cls)

    @classmethod
    def declared_operations(cls) -> dict[str, bool]:
        """Operations by name; the value tells whether one only observes."""
        return _declared_operations(cls)

    def limits(self, setting_name: str) -> Limits:
        """Limits in force: those of the kind, narrowed by the instrument and by the bench file."""
        declared = self.declared_settings()[setting_name].limits
        return declared.tightened(self._limits.get(setting_name, Limits()))

    def restrict(self, setting_name: str, limits: Limits) -> None:
        """Narrow the limits of a setting, for as long as this object lives. They can never be widened."""
        if setting_name not in self.declared_settings():
            raise ConfigurationError(
                f"{self.name} has no setting {setting_name!r}; it has {', '.join(self.declared_settings())}"
            )
        self._limits[setting_name] = self._limits.get(setting_name, Limits()).tightened(limits)

    def snapshot(self) -> dict[str, Any]:
        """Every setting as the instrument reads it back now."""
        return {name: getattr(self, name) for name in self.declared_settings()}

    def describe(self) -> DeviceDescription:
        """What a proxy needs to know."""
        cls = type(self)
        operations = [
            OperationInfo(
                name=name,
                signature=str(inspect.signature(getattr(self, name))),
                observes=observes,
                doc=_operation_doc(cls, name),
            )
            for name, observes in cls.declared_operations().items()
        ]
        return DeviceDescription(
            name=self.name,
            kind=cls.kind,
            backend=cls.backend,
            doc=inspect.getdoc(cls) or "",
            settings=[s.info(self.limits(n)) for n, s in cls.declared_settings().items()],
            operations=operations,
        )


def _operation_doc(cls: type, name: str) -> str:
    """What the contract promises of an operation, and below it what the driver says of its own."""
    own = inspect.getdoc(getattr(cls, name)) or ""
    declared = next((vars(b)[name] for b in reversed(cls.__mro__) if hasattr(vars(b).get(name), "__operation__")), None)
    promised = (declared and inspect.getdoc(declared)) or ""
    return own if promised in ("", own) else f"{promised}\n\n{cls.__name__}: {own}" if own else promised


# A class's declarations do not change once it exists, and every request asks for them.
_SETTINGS: dict[type, dict[str, setting[Any]]] = {}
_OPERATIONS: dict[type, dict[str, bool]] = {}


def _declared_settings(cls: type) -> dict[str, setting[Any]]:
    if cls not in _SETTINGS:
        found: dict[str, setting[Any]] = {}
        for base in reversed(cls.__mro__):
            found.update({n: v for n, v in vars(base).items() if isinstance(v, setting)})
        _SETTINGS[cls] = found
    return _SETTINGS[cls]


def _declared_operations(cls: type) -> dict[str, bool]:
    if cls not in _OPERATIONS:
        found: dict[str, bool] = {}
        for base in reversed(cls.__mro__):
            for name, member in vars(base).items():
                observes = getattr(member, "__operation__", None)
                if observes is not None:
                    found[name] = observes
        _OPERATIONS[cls] = found
    return _OPERATIONS[cls]
