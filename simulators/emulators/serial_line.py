"""The wire of an emulated instrument spoken to in lines of text: a pseudo-terminal or a TCP port, and its faults.

One thread serves the wire and lets time pass for the instrument, so an instrument needs no locks of its own.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import tempfile
import threading
import time
from abc import abstractmethod
from collections import deque
from pathlib import Path
from typing import Any, Literal

from drivers.errors import ConfigurationError
from simulators.emulators.base import Emulator, EmulatorOptions

_TICK_S = 0.02
_LATE_MUTATION_S = 1.2
_LATE_FAULT_S = 1.5


class SerialInstrument(Emulator):
    """An instrument on a wire. A subclass answers lines (`reply`) and lives on (`advance`).

    Faults of the wire are made here: mute (it hears and acts, and says nothing), late (it acts at once and answers
    after 1.5 s), corrupt-crc (a character of each answer is wrong), port-loss (the line is cut, and the port is gone
    until the fault is cleared). Mutation late: everything is answered 1.2 s after it was asked.
    """

    faults = frozenset({"mute", "late", "corrupt-crc", "interlock-open", "over-range", "port-loss", "firmware"})
    mutations = frozenset({"scale", "stale", "ignore-setpoint", "dark", "late"})
    latency_s = 0.005
    ending = b"\r\n"

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        self._thread: threading.Thread | None = None
        self._quit = threading.Event()
        self._wire: _Pty | _Tcp | None = None
        self._suffers: str | None = None

    def inject(self, fault: str | None) -> None:
        """Break it, or mend it; returns when that is so."""
        super().inject(fault)
        until = time.monotonic() + 5.0
        while self._thread is not None and self._suffers != fault and time.monotonic() < until:
            time.sleep(_TICK_S / 4)

    @abstractmethod
    def reply(self, line: str) -> list[str]:
        """Act on a line; the lines it answers."""

    @abstractmethod
    def advance(self) -> None:
        """Let time pass until now; called every 20 ms and before each line."""

    def switched_on(self) -> None:
        """Take the state of an instrument whose mains switch was just turned on."""

    def switched_off(self) -> None:
        """Whatever it did ends with the mains."""

    def connect(self, transport: Literal["serial", "tcp"] = "serial") -> str:
        """Power on with a wire; the port's path, or its address as host:port."""
        self.stop()
        self._wire = _Pty() if transport == "serial" else _Tcp()
        self._quit.clear()
        self.switched_on()
        self._thread = threading.Thread(target=self._serve, args=(self._wire,), name=f"{self.name} wire", daemon=True)
        self._thread.start()
        return self._wire.address

    def stop(self) -> None:
        """Power off."""
        if self._thread is not None:
            self._quit.set()
            self._thread.join()
            self._thread = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            self.switched_off()

    def _serve(self, wire: _Pty | _Tcp) -> None:
        answers: deque[tuple[float, bytes]] = deque()
        while not self._quit.is_set():
            fault = self.fault
            if fault == "port-loss":
                answers.clear()
                wire.cut()
            else:
                wire.restore()
            self.advance()
            self._suffers = fault
            if fault == "port-loss":
                self._quit.wait(_TICK_S)
                continue
            patience = _TICK_S if not answers else min(max(answers[0][0] - time.monotonic(), 0.0), _TICK_S)
            for line in wire.lines(patience):
                self.advance()
                said = b"".join(text.encode("latin-1") + self.ending for text in self.reply(line))
                if said and self.fault != "mute":
                    answers.append((time.monotonic() + self._delay_s(), self._on_the_way(said)))
            self.advance()
            while answers and answers[0][0] <= time.monotonic():
                wire.write(answers.popleft()[1])

    def _delay_s(self) -> float:
        if self.fault == "late":
            return _LATE_FAULT_S
        return self.latency_s + (_LATE_MUTATION_S if self.mutation == "late" else 0.0)

    def _on_the_way(self, said: bytes) -> bytes:
        # There is no check sum to notice it by: bits of the first character flip, as with a loose ground.
        return bytes([said[0] ^ 0x58]) + said[1:] if self.fault == "corrupt-crc" else said


class _Split:
    """Bytes to lines; either end-of-line character ends one, empty ones do not count."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).replace(b"\n", b"\r").split(b"\r")
        return [line.decode("latin-1").strip() for line in whole if line.strip()]


class _Pty:
    """A pseudo-terminal behind a name that stays the same when the line was cut and came back."""

    def __init__(self) -> None:
        if os.name != "posix":
            raise ConfigurationError("emulated serial ports need pseudo-terminals, which Windows does not have")
        self._folder = Path(tempfile.mkdtemp(prefix="labctl-port-"))
        self._link = self._folder / "serial"
        self._ends: tuple[int, int] | None = None
        self._split = _Split()
        self.restore()

    @property
    def address(self) -> str:
        return str(self._link)

    def restore(self) -> None:
        if self._ends is not None:
            return
        import tty

        ours, theirs = os.openpty()
        tty.setraw(theirs)  # which stays open here, or a driver that closes it would end the line
        os.set_blocking(ours, False)
        self._ends = ours, theirs
        self._split = _Split()
        self._link.symlink_to(os.ttyname(theirs))

    def cut(self) -> None:
        if self._ends is None:
            return
        ends, self._ends = self._ends, None
        self._link.unlink(missing_ok=True)
        for end in ends:
            os.close(end)

    def lines(self, patience_s: float) -> list[str]:
        assert self._ends is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._ends[0], selectors.EVENT_READ)
            if not selector.select(patience_s):
                return []
        try:
            return self._split(os.read(self._ends[0], 4096))
        except OSError:
            return []

    def write(self, data: bytes) -> None:
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):  # nobody reads: it goes where bytes of a serial line go
                os.write(self._ends[0], data)

    def close(self) -> None:
        self.cut()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Tcp:
    """A TCP port for one client at a time; a new one takes the place of the last."""

    def __init__(self) -> None:
        self._port = 0
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._split = _Split()
        self.restore()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def restore(self) -> None:
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self._port))
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._listener = listener

    def cut(self) -> None:
        for end in (self._client, self._listener):
            if end is not None:
                end.close()
        self._client = self._listener = None

    def lines(self, patience_s: float) -> list[str]:
        assert self._listener is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            if self._client is not None:
                selector.register(self._client, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(patience_s)}
        heard: list[str] = []
        if self._client in ready:
            heard = self._hear()
        if self._listener in ready:
            self._welcome(self._listener)
        return heard

    def _welcome(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = listener.accept()
            if self._client is not None:
                self._client.close()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(True)
            self._client, self._split = client, _Split()

    def _hear(self) -> list[str]:
        assert self._client is not None
        try:
            data = self._client.recv(4096)
        except OSError:
            data = b""
        if data:
            return self._split(data)
        self._client.close()
        self._client = None
        return []

    def write(self, data: bytes) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def close(self) -> None:
        self.cut()
