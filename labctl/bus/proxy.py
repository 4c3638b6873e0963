"""Proxies: devices as an experiment sees them, derived from what the server says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from drivers.contract import ROI, DeviceDescription, Identity
from drivers.errors import BusError
from drivers.settings import Limits
from labctl.bus import display
from labctl.bus.connection import Connection, Pending
from labctl.bus.ring import Arena
from labctl.bus.signatures import signature_of
from labctl.bus.stream import Stream


class Around(Protocol):
    """What stands between a client's calls and the bus."""

    def call(self, device: str, kind: str, name: str, ask: Callable[[], Any]) -> Any:
        """Make a call, perhaps again."""
        ...

    def emits(self, device: str, on: bool, again: Callable[[], Any]) -> None:
        """An emission was set; again: sets it once more."""
        ...


class Noting(Protocol):
    """Who keeps in mind what operations did."""

    def begin(self, operation: str) -> None:
        """It is asked for."""
        ...

    def end(self, operation: str, value: Any) -> None:
        """It gave this."""
        ...


class DeviceProxy:
    """A device behind the bus. Settings are attributes, operations are methods, as in its description.

    A call that need not be waited for is started with ``device.operation.submit(...)``, whose ``result()`` waits.
    ``print(device)`` is a table of its settings as they are now, and so is what a notebook shows of it.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        emergency: Connection | None = None,
        description: DeviceDescription | None = None,
        arena: Arena | None = None,
        open_stream: Callable[..., Stream] | None = None,
        status: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "_connection", connection)
        set_(self, "_emergency", emergency or connection)
        set_(self, "_arena", arena or Arena())
        set_(self, "_open_stream", open_stream)
        set_(self, "_status", status)
        set_(self, "name", name)
        if description is None:
            description = connection.request(name, "describe", timeout_s=10.0)
        set_(self, "description", description)
        set_(self, "kind", description.kind)
        set_(self, "_settings", {s.name: s for s in description.settings})
        set_(self, "_around", None)
        set_(self, "_extra", ())
        for operation in description.operations:
            call = _Call(connection, name, description.kind, operation.name, operation.signature, operation.doc)
            set_(self, operation.name, call)

    def identity(self) -> Identity:
        """Model, serial number and firmware."""
        value: Identity = self._connection.request(self.name, "identity")
        return value

    def snapshot(self) -> dict[str, Any]:
        """Every setting as read back now."""
        value: dict[str, Any] = self._connection.request(self.name, "snapshot")
        return value

    def limits(self, setting: str) -> Limits:
        """Smallest and largest value of a setting: the kind's, narrowed by the instrument and by the bench file.

        As they were when the proxy was made; nothing is asked. Raises AttributeError if there is no such setting.
        """
        if setting not in self._settings:
            raise self._no_setting(setting)
        limits: Limits = self._settings[setting].limits
        return limits

    def safe(self) -> None:
        """Bring the device to its safe state, without waiting for a call that is being served."""
        self._emergency.request(self.name, "safe", timeout_s=2.0)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A fresh array to draw in that reaches the device without a copy, if it is on this host.

        Do not write to it while a call it was given to is under way.
        """
        array: NDArray[Any] = self._arena.array(shape, dtype)
        return array

    def stream(
        self,
        windows: Sequence[ROI] | None = None,
        bin: int = 1,
        images: bool = True,
        timeout_s: float | None = None,
    ) -> Stream:
        """What the device measures from now on, whoever asks it to: an iterator of `labctl.bus.stream.Item`.

        windows: sums over these regions instead of images. bin: means of bin x bin pixels. images: False for times and
        numbers only. Reductions are worked out by the server. timeout_s: BusError when nothing is measured for so long.
        """
        if self._open_stream is None:
            raise BusError(f"{self.name}: streams are for clients of a bench")
        stream: Stream = self._open_stream(self.name, windows, bin, images, timeout_s)
        return stream

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._settings:
            raise AttributeError(f"{self.name} has no {name!r}; it has {', '.join(dir(self))}")
        if self._around is not None:
            return self._around.call(
                self.name, self.kind, name, lambda: self._connection.request(self.name, "get", name)
            )
        return self._connection.request(self.name, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._settings:
            raise self._no_setting(name)
        if self._around is None:
            self._connection.request(self.name, "set", name, value)
            return

        def write() -> Any:
            return self._connection.request(self.name, "set", name, value)

        self._around.call(self.name, self.kind, name, write)
        if name == "emission":
            self._around.emits(self.name, bool(value), write)

    def go_through(self, around: Around | None) -> None:
        """Have every call that is waited for made by ``around``, as `labctl.bench.recovery.Recovery` does; None: no
        more."""
        object.__setattr__(self, "_around", around)
        for operation in self.description.operations:
            getattr(self, operation.name).around = around

    def note_in(self, noting: Noting) -> None:
        """Have ``noting`` told of every operation that changes something."""
        for operation in self.description.operations:
            if not operation.observes:
                getattr(self, operation.name).noting = noting

    def extend(self, name: str, operation: Callable[..., Any]) -> None:
        """Give it an operation that is made of others, unless it has one of that name."""
        if name not in dir(self):
            object.__setattr__(self, name, operation)
            object.__setattr__(self, "_extra", (*self._extra, name))

    def _no_setting(self, name: str) -> AttributeError:
        return AttributeError(f"{self.name} has no setting {name!r}; it has {', '.join(self._settings)}")

    def submit_get(self, setting: str) -> Pending:
        """Begin to read a setting; `Pending.result` waits for it."""
        pending: Pending = self._connection.submit(self.name, "get", setting)
        return pending

    def __dir__(self) -> Iterable[str]:
        operations = (o.name for o in self.description.operations)
        return [*self._settings, *operations, *self._extra, "identity", "snapshot", "limits", "safe", "allocate",
                "submit_get", "stream", "name", "kind", "description"]  # fmt: skip

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} ({self.description.backend}) at {self._connection.endpoint}>"

    def __str__(self) -> str:
        return display.device_text(display.look_at(self.description, self._connection, self._status))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))  # of IPython, in a terminal

    def _repr_html_(self) -> str:
        return display.device_html(display.look_at(self.description, self._connection, self._status))


class _Call:
    """One remote operation."""

    def __init__(self, connection: Connection, device: str, kind: str, name: str, signature: str, doc: str) -> None:
        self._connection = connection
        self._device = device
        self._kind = kind
        self._name = name
        self.around: Around | None = None
        self.noting: Noting | None = None
        self.__name__ = name
        self.__qualname__ = f"{device}.{name}"
        self.__signature__ = signature_of(signature)
        self.__doc__ = f"{name}{self.__signature__}\n\n{doc}"

    def __call__(self, *positional: Any, **named: Any) -> Any:
        if self.noting is not None:
            self.noting.begin(self._name)
        if self.around is None:
            value = self._connection.request(self._device, "call", self._name, [positional, named])
        else:
            value = self.around.call(self._device, self._kind, self._name, lambda: self._ask(positional, named))
        if self.noting is not None:
            self.noting.end(self._name, value)
        return value

    def _ask(self, positional: Any, named: Any) -> Any:
        return self._connection.request(self._device, "call", self._name, [positional, named])

    def submit(self, *positional: Any, **named: Any) -> Pending:
        """Begin the call; `Pending.result` waits for it and gives what the call gives."""
        if self.noting is not None:
            self.noting.begin(self._name)
        return self._connection.submit(self._device, "call", self._name, [positional, named])

    def __repr__(self) -> str:
        return f"<operation {self._device}.{self._name}{self.__signature__}>"
