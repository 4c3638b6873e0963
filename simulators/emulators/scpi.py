"""SCPI instruments on a TCP socket of the loopback.

One thread does everything in turn, as the processor of such an instrument does; what it understands is in
`simulators.emulators.scpi_language`.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field

from drivers.errors import ConfigurationError, LabError
from drivers.quantity import Seconds
from simulators.emulators.base import Emulator, EmulatorOptions
from simulators.emulators.scpi_language import Interpreter, ScpiError

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1 << 16
_SEND_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05


class PowerLost(Exception):
    """The instrument was switched off, or its line cut or closed, in the middle of something."""


class ScpiOptions(EmulatorOptions):
    """latency: of every message. lateness: how late answers are under the fault "late"; more than the driver waits."""

    latency: Seconds = Field(1e-3, ge=0, le=1)
    lateness: Seconds = Field(3.0, gt=0, le=60)
    port: int = Field(0, ge=0, le=65535)


class ScpiEmulator(Emulator):
    """An instrument that listens on 127.0.0.1 and is told what to do by an `Interpreter`."""

    Options: ClassVar[type[EmulatorOptions]] = ScpiOptions
    supplies: ClassVar[frozenset[str]] = frozenset({"resource"})
    faults: ClassVar[frozenset[str]] = frozenset({"mute", "late", "corrupt-crc", "over-range", "port-loss", "firmware"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        assert isinstance(self.options, ScpiOptions)
        self._latency_s = self.options.latency
        self._lateness_s = self.options.lateness
        self._port = self.options.port
        self._thread: threading.Thread | None = None
        self._off = threading.Event()
        self._cut = threading.Event()
        self._changed = threading.Event()
        self._settled = threading.Event()
        self._wake: socket.socket | None = None
        self._asking: socket.socket | None = None
        self.interpreter = Interpreter(self.identify, self.reset)

    # --- what an instrument adds ------------------------------------------------------------------------------------

    @abstractmethod
    def identify(self) -> str:
        """Answer to *IDN?."""

    @abstractmethod
    def reset(self) -> None:
        """As *RST does."""

    def due_s(self) -> float | None:
        """When `tick` wants to be called, s from now; None when nothing is going on."""
        return None

    def tick(self) -> None:
        """Go on with what takes time while the instrument answers questions."""

    # --- power ------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Power on; the resource to open."""
        if self._thread is None:
            listener = self._listen()
            self._off.clear()
            self._cut.clear()
            if self.fault == "port-loss":
                self._cut.set()
            ours, self._wake = socket.socketpair()
            ours.setblocking(False)
            self.reset()
            self._thread = threading.Thread(
                target=self._serve, args=(listener, ours), name=f"emulated {self.name}", daemon=True
            )
            self._thread.start()
        return {"resource": f"TCPIP0::127.0.0.1::{self._port}::SOCKET"}

    def stop(self) -> None:
        """Power off."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._off.set()
        self._cut.set()
        self._changed.set()
        self._nudge()
        thread.join(10)
        if self._wake is not None:
            self._wake.close()
            self._wake = None

    def inject(self, fault: str | None) -> None:
        """See `Emulator.inject`; a cut line is cut, or mended, when this returns."""
        super().inject(fault)
        self._settled.clear()
        if fault == "port-loss":
            self._cut.set()
        elif not self._off.is_set():
            self._cut.clear()
        self._changed.set()
        if self._thread is not None:
            self._nudge()
            self._settled.wait(5)

    def pause(self, seconds: float) -> None:
        """Take time; PowerLost if the line is cut meanwhile, or closed by who asked: that ends a measurement."""
        until = time.monotonic() + seconds
        while True:
            left_s = until - time.monotonic()
            if self._cut.wait(min(max(left_s, 0.0), _LOOK_EVERY_S)):
                raise PowerLost
            if left_s <= _LOOK_EVERY_S:
                return
            if self._asking is not None and _closed(self._asking):
                raise PowerLost

    def _nudge(self) -> None:
        wake = self._wake
        if wake is not None:
            with contextlib.suppress(OSError):
                wake.send(b"!")

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError as error:
            listener.close()
            raise ConfigurationError(
                f"{self.name}: port {self._port} of this machine is taken ({error}); leave port out"
            ) from None
        listener.listen(8)
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        return listener

    # --- the one thread ---------------------------------------------------------------------------------------------

    def _serve(self, listener: socket.socket | None, wake: socket.socket) -> None:
        received: dict[socket.socket, bytearray] = {}
        with selectors.DefaultSelector() as selector, wake:
            selector.register(wake, selectors.EVENT_READ)
            if listener is not None:
                selector.register(listener, selectors.EVENT_READ)
            while not self._off.is_set():
                for key, _ in selector.select(self.due_s()):
                    at = key.fileobj
                    assert isinstance(at, socket.socket)
                    if at is wake:
                        with contextlib.suppress(OSError):
                            wake.recv(4096)
                    elif at is listener:
                        with contextlib.suppress(OSError):
                            connection = listener.accept()[0]
                            connection.settimeout(_SEND_WITHIN_S)
                            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                            selector.register(connection, selectors.EVENT_READ)
                            received[connection] = bytearray()
                    elif at in received and not self._hear(at, received[at]):
                        selector.unregister(at)
                        del received[at]
                        at.close()
                    if self._cut.is_set():
                        break
                if self._cut.is_set() and listener is not None:
                    for open_socket in (listener, *received):
                        selector.unregister(open_socket)
                        open_socket.close()
                    listener, received = None, {}
                elif not self._cut.is_set() and listener is None:
                    listener = self._listen()
                    selector.register(listener, selectors.EVENT_READ)
                self._settled.set()
                self._guarded(self.tick)
            for left in (listener, *received):
                if left is not None:
                    left.close()

    def _hear(self, connection: socket.socket, buffer: bytearray) -> bool:
        """Execute the whole messages that came; False if the connection is over."""
        try:
            came = connection.recv(1 << 16)
        except OSError:
            return False
        if not came:
            return False
        buffer += came
        while b"\n" in buffer:
            message, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            if not self._answer(connection, message.rstrip(b"\r")):
                return False
        if len(buffer) > _LONGEST_MESSAGE:
            buffer.clear()
            self.interpreter.error(ScpiError(-363))
        return True

    def _answer(self, connection: socket.socket, message: bytes) -> bool:
        if self.fault == "mute":
            return True
        self._changed.clear()
        self._asking = connection
        try:
            self.pause(self._latency_s)
            reply = self._guarded(lambda: self.interpreter.execute(message))
            if self.fault == "late":
                self._changed.wait(self._lateness_s)
            if self._cut.is_set():
                return False
            if reply:
                connection.sendall((_garbled(reply) if self.fault == "corrupt-crc" else reply) + b"\n")
        except (OSError, PowerLost):
            return False
        finally:
            self._asking = None
        return True

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """What fails inside the instrument, such as a world that is gone, is a hardware error and no answer."""
        try:
            return act()
        except PowerLost:
            raise
        except LabError as error:
            log.warning("emulated %s: %s", self.name, error)
            self.interpreter.error(ScpiError(-240, str(error).replace('"', "'")[:200]))
            return b""


def _closed(connection: socket.socket) -> bool:
    """Whether the other side is gone."""
    before = connection.gettimeout()
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(before)


def _garbled(reply: bytes) -> bytes:
    """Every third of the first bytes with its highest bit turned, as on a serial line with a wrong frame format."""
    damaged = bytearray(reply)
    for k in range(0, min(len(damaged), 64), 3):
        damaged[k] ^= 0x80
    return bytes(damaged).replace(b"\n", b"?") if len(reply) < 256 else bytes(damaged)
