"""A line to an instrument that may fail at any moment: one road for timeouts, garbled answers, loss and reconnection.

Vendor layers raise whatever they raise; a driver says once which of it means "too late" and which "broken", and every
conversation then ends in a result or in an error of the contract, with the line in a defined state.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from drivers.errors import DeviceError, DeviceTimeout, LabError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Garbled(Exception):
    """An answer that cannot be one to the question that was asked."""


@contextlib.contextmanager
def pylablib_errors() -> Iterator[None]:
    """What pylablib's serial back end raises, sorted: TimeoutError, ConnectionError, `Garbled`.

    It has one class for a timeout and for a lost line, leaks ``termios.error``, and parses answers unchecked.
    """
    from pylablib.core.devio.base import DeviceError as VendorError  # type: ignore[import-untyped]

    try:
        yield
    except (LabError, OSError, Garbled):
        raise
    except VendorError as error:
        cause = getattr(error, "backend_exc", None)
        if cause is None:
            raise Garbled(str(error)) from error
        if isinstance(cause, str):
            raise TimeoutError(cause) from error
        raise ConnectionError(str(cause)) from error
    except (ValueError, IndexError) as error:
        raise Garbled(str(error)) from error
    except Exception as error:
        if type(error).__module__ != "termios":
            raise
        raise ConnectionError(str(error)) from error


def timed(vendor: Any) -> Any:
    """A pylablib device class whose answers are awaited until ``deadline_s``, not for one timeout each.

    timeout_s: longest wait for one answer. deadline_s: monotonic time at which all waiting ends.
    """

    class Timed(vendor):  # type: ignore[misc]
        timeout_s = 1.0
        deadline_s = 0.0

        def query(self, *arguments: Any, **named: Any) -> Any:
            self.instr.set_timeout(min(self.timeout_s, max(self.deadline_s - time.monotonic(), 0.05)))
            return super().query(*arguments, **named)

    return Timed


class Link(Generic[T]):
    """A vendor object that is connected when it is first needed, and again after it was lost.

    device: name for messages. connect: opens the line; its timeouts must be set there. disconnect: closes it. flush:
    throws away what may still be in the line after an error, so that a late answer is not taken for the next one.
    late: exceptions that mean that no answer came in time. garbled: that it cannot be the answer. broken: exceptions
    after which the line is opened anew. Conversations from several threads take turns; after `close` there are none,
    also for those that waited for theirs.
    """

    def __init__(
        self,
        device: str,
        connect: Callable[[], T],
        disconnect: Callable[[T], None],
        flush: Callable[[T], None],
        *,
        late: tuple[type[BaseException], ...],
        broken: tuple[type[BaseException], ...],
        garbled: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._device = device
        self._connect = connect
        self._disconnect = disconnect
        self._flush = flush
        self._late = late
        self._broken = broken
        self._garbled = garbled
        self._doubtful = False
        self._closed = False
        self._lock = threading.RLock()
        self._line: T | None = None
        self.on_connect: Callable[[T], None] | None = None
        """Called with every new line before anything else is said: to make a laser safe and arm its watchdog."""
        self.on_doubt: Callable[[T], None] | None = None
        """Called before the first conversation after a late or garbled answer, to find out where answers stand: for
        instruments whose answers do not say what they answer. If it fails, the line is opened anew."""

    @property
    def connected(self) -> bool:
        """Whether the line is open, as far as is known."""
        return self._line is not None

    @property
    def closed(self) -> bool:
        """Whether conversations are refused."""
        return self._closed

    def open(self) -> None:
        """Let conversations begin; the first one connects."""
        self._closed = False

    def close(self) -> None:
        """Close the line and refuse conversations until `open`."""
        self._closed = True
        self.drop()

    @contextlib.contextmanager
    def talk(self, what: str) -> Iterator[T]:
        """The line, for one conversation. what: the setting or operation, for messages.

        Raises DeviceTimeout when the instrument does not answer in time (the line is flushed), DeviceError when the
        line is broken (the next conversation opens it anew) or was closed.
        """
        with self._lock:
            if self._closed:
                raise DeviceError(f"{self._device}.{what}: the device is closed; open it")
            line = self._open(what)
            try:
                yield line
            except LabError:
                raise
            except self._late as error:
                self._clean(line)
                raise DeviceTimeout(
                    f"{self._device}.{what}: no answer in time ({error or type(error).__name__}); the line was "
                    "flushed. Check power and cable"
                ) from error
            except self._garbled as error:
                self._clean(line)
                raise DeviceError(
                    f"{self._device}.{what}: the answer makes no sense ({error}); the line was flushed. Check cable, "
                    "baud rate, and that nothing else talks to the instrument"
                ) from error
            except self._broken as error:
                self.drop()
                raise DeviceError(
                    f"{self._device}.{what}: the line to the instrument failed ({type(error).__name__}: {error}); it "
                    "is opened anew at the next call. Check power and cable"
                ) from error

    def drop(self) -> None:
        """Close the line, whatever state it is in; the next conversation opens it anew."""
        with self._lock:
            line, self._line = self._line, None
            if line is not None:
                with contextlib.suppress(*self._late, *self._broken, OSError):
                    self._disconnect(line)

    def _open(self, what: str) -> T:
        if self._line is not None and self._doubtful and self.on_doubt is not None:
            try:
                self.on_doubt(self._line)
            except (*self._late, *self._garbled, *self._broken):
                self.drop()
        self._doubtful = False
        if self._line is None:
            line = self._connected(what)
            self._line = line
            if self.on_connect is not None:
                try:
                    with self._first_words(what):
                        self.on_connect(line)
                except BaseException:
                    self.drop()
                    raise
        return self._line

    def _connected(self, what: str) -> T:
        try:
            return self._connect()
        except LabError:
            raise
        except (*self._late, *self._broken) as error:
            raise DeviceError(
                f"{self._device}.{what}: cannot connect ({type(error).__name__}: {error}). Check the port or "
                "address in the bench file, power and cable"
            ) from error

    @contextlib.contextmanager
    def _first_words(self, what: str) -> Iterator[None]:
        try:
            yield
        except LabError:
            raise
        except self._late as error:
            raise DeviceTimeout(
                f"{self._device}.{what}: the line opened, but no answer came in time ({error or type(error).__name__})"
                ". Check that the instrument is on and that the port is its own"
            ) from error
        except (*self._garbled, *self._broken) as error:
            raise DeviceError(
                f"{self._device}.{what}: the line opened, but the instrument does not answer as it should "
                f"({type(error).__name__}: {error}). Check port, baud rate and cable"
            ) from error

    def _clean(self, line: T) -> None:
        self._doubtful = True
        try:
            self._flush(line)
        except (*self._late, *self._broken):
            self.drop()  # a line that cannot even be flushed is opened anew
