"""How a kind of device declares what calibrations it takes: ``dark = calibration(Dark, doc="...")``."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, overload

from drivers.correction.values import Correction
from drivers.errors import CalibrationError

C = TypeVar("C", bound="Correction")


class Corrected(Protocol):
    """A device that holds corrections by kind, or why one is refused."""

    name: str
    corrections_held: dict[str, Correction | str]


class calibration(Generic[C]):
    """A calibration that a kind of device takes.

    Reading gives what is in force, or None. Writing checks it (``_check_NAME`` of the device) and raises
    CalibrationError, changing nothing, if it does not fit the device. After `Device.refuse_calibration` reading raises
    CalibrationError: what is refused must neither be used nor be silently left out.
    """

    def __init__(self, value_type: type[C], *, doc: str) -> None:
        self.value_type = value_type
        self.doc = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, device: None, owner: type) -> calibration[C]: ...
    @overload
    def __get__(self, device: Corrected, owner: type) -> C | None: ...
    def __get__(self, device: Corrected | None, owner: type) -> calibration[C] | C | None:
        if device is None:
            return self
        held = device.corrections_held
        if not held:
            return None  # the usual case, and asked for with every pattern
        value: Any = held.get(self.name)
        if isinstance(value, str):
            raise CalibrationError(value)
        found: C | None = value
        return found

    def __set__(self, device: Corrected, value: C | None) -> None:
        if value is None:
            device.corrections_held.pop(self.name, None)
        elif not isinstance(value, self.value_type):
            raise CalibrationError(
                f"{device.name}.{self.name} = {type(value).__name__}: a {self.value_type.__name__} is needed"
            )
        else:
            getattr(device, f"_check_{self.name}")(value)
            device.corrections_held[self.name] = value
        changed = getattr(device, f"_changed_{self.name}", None)
        if changed is not None:
            changed(value)
