"""Exceptions as they cross the bus: a type that every client knows, what it says, and the remote traceback."""

from __future__ import annotations

from drivers.errors import ERROR_TYPES, DeviceError, LabError
from labctl.bus.messages import Failure


def failure_of(error: BaseException, traceback: str) -> Failure:
    """What crosses the bus in place of an exception."""
    # Python's text may hold what UTF-8 cannot, such as half of a file name that was never text.
    message, traceback = (t.encode(errors="backslashreplace").decode() for t in (str(error), traceback))
    if type(error).__name__ in ERROR_TYPES:
        return Failure(type(error).__name__, message, traceback)
    for cls in type(error).__mro__:
        if cls.__name__ in ERROR_TYPES:  # a subclass travels as the nearest type every client knows
            return Failure(cls.__name__, message, traceback)
    return Failure("DeviceError", f"{type(error).__name__}: {message}", traceback)


def error_of(failure: Failure) -> LabError:
    """The exception a failure stands for, with the remote traceback attached."""
    error = ERROR_TYPES.get(failure.error_type, DeviceError)(failure.message)
    error.remote_traceback = failure.traceback
    error.add_note("in the device server:\n" + failure.traceback.rstrip())
    return error
