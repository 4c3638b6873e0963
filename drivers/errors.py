"""The error hierarchy. Every message names the device or file, the value, the limit and the cure."""

from __future__ import annotations


class LabError(Exception):
    """Base of every error labctl raises on purpose.

    ``remote_traceback`` holds the traceback of the server process when the error crossed the bus.
    """

    remote_traceback: str | None = None


class ConfigurationError(LabError):
    """A bench file, option or model file is wrong; the message says where, what, and what is allowed."""


class DeviceError(LabError):
    """An instrument failed or answered what it must not."""


class DeviceTimeout(DeviceError):
    """An instrument did not answer in time; it has been brought back to a defined state."""


class FrameError(DeviceError):
    """Frames or readings are not those that were asked for: older than their trigger or their pattern, or one twice.

    They were dropped, and the instrument is in a defined state: measuring again is safe.
    """


class LimitError(LabError, ValueError):
    """A value lies outside the limits of the instrument or of the bench file; nothing was changed."""


class LeaseError(LabError):
    """The caller does not hold the lease that the call needs, or has lost it."""


class InterlockError(LabError):
    """A safety rule of the bench, or the instrument's own interlock, forbids the call."""


class CalibrationError(LabError):
    """A calibration is missing, stale or contradicted by the light; the message names the likely cause."""


class StorageError(LabError):
    """Data cannot be written: the disk is full, read-only or broken. What was written before is sound."""


class ReplayError(LabError):
    """A replayed bench was asked what its record has no answer to; the message shows what was recorded and asked."""


class BusError(LabError):
    """A message could not be delivered, understood or answered in time."""


ERROR_TYPES: dict[str, type[LabError]] = {
    cls.__name__: cls
    for cls in (
        LabError,
        ConfigurationError,
        DeviceError,
        DeviceTimeout,
        FrameError,
        LimitError,
        LeaseError,
        InterlockError,
        CalibrationError,
        StorageError,
        ReplayError,
        BusError,
    )
}
"""Errors that keep their type across the bus, by name; anything else arrives as `DeviceError`."""
