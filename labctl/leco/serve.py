"""The gateway as it runs: a bench opened twice, a thread for each component, a Coordinator if one is wanted."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import queue
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
from pyleco.coordinators.coordinator import Coordinator
from pyleco.core import COORDINATOR_PORT
from pyleco.utils.coordinator_utils import ZmqMultiSocket

from drivers.errors import BusError, ConfigurationError
from labctl.bench.client import open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.gate import Gate
from labctl.bus.roles import Role
from labctl.leco.component import BenchComponent, Component, DeviceComponent

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
DEFAULT_PORT: int = COORDINATOR_PORT
_ANSWERS_WITHIN_S = 3.0
_END_PATIENCE_S = 10.0


@contextlib.contextmanager
def gateway(
    source: str | Path | BenchConfig,
    *,
    role: Role = Role.OBSERVER,
    host: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    prefix: str = "",
    at: str | None = None,
) -> Iterator[dict[str, str]]:
    """Show a bench to the Coordinator at host and port; names of the components by device, and of the bench by "".

    Raises ConfigurationError if others than observers would come from another machine, BusError if there is no
    Coordinator, or it knows one of the names already.
    """
    if role > Role.OBSERVER and not is_loopback(host):
        raise ConfigurationError(
            f"--host {host} with --role {role.label}: LECO has no keys, so whoever reaches that Coordinator would have "
            "control; use --role observer, or a Coordinator on this machine through a tunnel (ssh -L)"
        )
    context: zmq.Context[Any] = zmq.Context()
    with contextlib.ExitStack() as stack:
        stack.callback(context.destroy, linger=0)
        free = stack.enter_context(open_bench(source, at=at))
        held = stack.enter_context(contextlib.closing(free.another()))
        gate = Gate(free, held, role, via="leco")
        stack.callback(gate.close)
        where = (gate, context, host, port, _ANSWERS_WITHIN_S)
        names = {device: _name(prefix + device) for device in free.devices} | {"": _name(prefix + free.name)}
        for device, name in names.items():
            made = DeviceComponent(device, name, *where) if device else BenchComponent(name, *where)
            stack.enter_context(_listening(made))
        yield names


@contextlib.contextmanager
def coordinator(port: int = DEFAULT_PORT, namespace: str | None = None) -> Iterator[int]:
    """A Coordinator of pyleco's on the loopback only, which its own program does not offer; the port it has.

    Raises BusError if the port is taken.
    """
    stop = threading.Event()
    context: zmq.Context[Any] = zmq.Context()
    try:
        listening = _Loopback(context)
        made = Coordinator(namespace=namespace, host=LOOPBACK, port=port, multi_socket=listening, context=context)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise BusError(f"port {port} of {LOOPBACK}: {error}; give another --port") from None
    with made:
        thread = threading.Thread(
            target=made.routing, kwargs={"stop_event": stop}, name="labctl-leco-coordinator", daemon=True
        )
        thread.start()
        try:
            yield listening.port
        finally:
            stop.set()
            thread.join(_END_PATIENCE_S)
    context.destroy(linger=0)


class _Loopback(ZmqMultiSocket):  # type: ignore[misc]
    def bind(self, host: str = "*", port: str | int = 0) -> None:
        super().bind(LOOPBACK, port)

    @property
    def port(self) -> int:
        return int(str(self._sock.getsockopt_string(zmq.LAST_ENDPOINT)).rpartition(":")[2])


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by all the addresses it has."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def _name(wanted: str) -> str:
    """A name as LECO allows it: the point parts namespaces from names."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", wanted)


@contextlib.contextmanager
def _listening(component: Component) -> Iterator[None]:
    stop = threading.Event()
    outcome: queue.Queue[BaseException | None] = queue.Queue()
    component.finish_sign_in = _then(component.finish_sign_in, lambda: outcome.put(None))

    def listen() -> None:
        try:
            component.listen(stop_event=stop, waiting_time=50)
        except BusError as error:
            outcome.put(error)
        except Exception as error:  # noqa: BLE001 - pyleco's; the others go on
            log.error("%s ended: %s: %s", component.name, type(error).__name__, error)
            outcome.put(error)

    thread = threading.Thread(target=listen, name=f"labctl-leco-{component.name}", daemon=True)
    thread.start()
    try:
        failed = outcome.get(timeout=2 * _ANSWERS_WITHIN_S + _END_PATIENCE_S)
        if failed is not None:
            raise failed
        yield
    finally:
        stop.set()
        thread.join(_END_PATIENCE_S)
        component.close()


def _then(first: Any, after: Any) -> Any:
    def both(message: Any) -> None:
        first(message)
        after()

    return both
