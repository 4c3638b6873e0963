"""Components that a LECO Coordinator routes to: one for each device, one for the bench.

They answer what Directors ask of Actors: get_parameters, set_parameters, call_action. Only settings and operations that
the contract has are reached, never anything else of an object.
"""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import zmq
from pyleco.json_utils.errors import INVALID_PARAMS, InvalidParams, JSONRPCError
from pyleco.json_utils.json_objects import JsonRpcError
from pyleco.utils.message_handler import MessageHandler

from drivers.errors import BusError, LabError
from labctl import registry
from labctl.bench.client import Bench
from labctl.bench.gate import Gate
from labctl.bus.proxy import DeviceProxy
from labctl.leco.values import from_json, to_json

log = logging.getLogger(__name__)

_BEAT_S = 5.0
ERROR_CODES = {
    "LabError": -32010,
    "ConfigurationError": -32011,
    "DeviceError": -32012,
    "DeviceTimeout": -32013,
    "FrameError": -32014,
    "LimitError": -32015,
    "LeaseError": -32016,
    "InterlockError": -32017,
    "CalibrationError": -32018,
    "StorageError": -32019,
    "ReplayError": -32020,
    "BusError": -32021,
}
"""JSON-RPC error codes of labctl's errors, in the range for servers' own."""


class Component(MessageHandler, ABC):  # type: ignore[misc]
    """What all of them share. ``name`` must be free at the Coordinator."""

    def __init__(
        self, name: str, gate: Gate, context: zmq.Context[Any], host: str, port: int, timeout_s: float
    ) -> None:
        self._gate = gate
        self.timeout = timeout_s
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"labctl-leco-{name}")
        super().__init__(name, host=host, port=port, context=context, log=log)

    def register_rpc_methods(self) -> None:
        """Not what pyleco's own handlers have besides: nobody ends this program, or its log, from afar."""
        self.register_rpc_method(self.pong)
        self.register_binary_rpc_method(self.get_parameters, return_binary_output=True)
        self.register_binary_rpc_method(self.set_parameters, accept_binary_input=True)
        self.register_binary_rpc_method(self.call_action, accept_binary_input=True, return_binary_output=True)

    def sign_in(self) -> None:
        """Raises BusError if there is no Coordinator, or the name is taken there."""
        super().sign_in()
        if self.namespace is None:
            raise BusError(
                f"no Coordinator lets {self.name!r} in: none answers, or another component has that name; start one "
                "(labctl leco --coordinator), or use --prefix"
            )

    def close(self) -> None:
        """Disconnect; a call that is under way is not waited for."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        super().close()

    def read_and_handle_message(self) -> None:
        """As pyleco's, but nothing that somebody sends ends the loop."""
        try:
            super().read_and_handle_message()
        except Exception as error:  # noqa: BLE001 - of whatever bytes a peer sends
            log.warning("%s: a message was dropped: %s: %s", self.name, type(error).__name__, error)

    def get_parameters(self, parameters: list[str]) -> tuple[dict[str, Any], list[bytes]]:
        """Values by name."""
        payload: list[bytes] = []
        return self._told(
            lambda bench: {name: to_json(self._get(bench, name), payload) for name in _names(parameters)}
        ), payload

    def set_parameters(self, parameters: dict[str, Any], additional_payload: Sequence[bytes] | None = None) -> None:
        """Set values by name, in order; nothing is set if a name is wrong."""
        if not isinstance(parameters, dict):
            raise _invalid(f"parameters {parameters!r:.80} is no object of values by name")
        self._told(lambda bench: self._set(bench, parameters, additional_payload or ()))

    def call_action(
        self,
        action: str,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        additional_payload: Sequence[bytes] | None = None,
    ) -> tuple[Any, list[bytes]]:
        """Call an operation."""
        payload: list[bytes] = []
        given = list(args or ()), dict(kwargs or {}), list(additional_payload or ())
        return self._told(lambda bench: to_json(self._call(bench, str(action), *given), payload)), payload

    def _told(self, ask: Callable[[Bench], Any]) -> Any:
        """The answer; labctl's errors as JSON-RPC errors."""
        sender = self._sender

        def answer() -> Any:
            with self._gate.turn(sender) as bench:
                return ask(bench)

        try:
            under_way = self._worker.submit(answer)
            while not wait([under_way], timeout=_BEAT_S).done:
                self.heartbeat()  # else the Coordinator forgets a component whose call takes long
            return under_way.result()
        except LabError as error:
            name = next((n for n in _line(type(error)) if n in ERROR_CODES), "LabError")
            raise JSONRPCError(JsonRpcError(ERROR_CODES[name], str(error), {"type": name})) from None

    @property
    def _sender(self) -> str:
        return bytes(self.current_message.sender).decode(errors="replace")

    @abstractmethod
    def _get(self, bench: Bench, name: str) -> Any:
        """A parameter's value. Raises a LabError for an unknown one."""

    @abstractmethod
    def _set(self, bench: Bench, values: dict[str, Any], payload: Sequence[bytes]) -> None:
        """Set parameters; payload: arrays that values point to."""

    @abstractmethod
    def _call(self, bench: Bench, action: str, args: list[Any], kwargs: dict[str, Any], payload: list[bytes]) -> Any:
        """What an operation gives; payload: arrays that came with it."""


class DeviceComponent(Component):
    """A device: parameters are its settings, and ``settings``, ``operations``, ``identity``, ``kind``; actions its
    operations, and ``safe``."""

    def __init__(self, role: str, name: str, gate: Gate, *where: Any) -> None:
        self._role = role
        device = gate.free[role]
        self._settings = {s.name: s for s in device.description.settings}
        self._operations = {o.name: o for o in device.description.operations}
        self._kind: Any = registry.load("labctl.kinds", device.kind)
        super().__init__(name, gate, *where)

    def _get(self, bench: Bench, name: str) -> Any:
        device: DeviceProxy = bench[self._role]
        match name:
            case "settings":
                return self._settings
            case "operations":
                return self._operations
            case "kind":
                return device.kind
            case "identity":
                return device.identity()
        if name not in self._settings:
            raise self._unknown(name, "setting", self._settings)
        return getattr(device, name)

    def _set(self, bench: Bench, values: dict[str, Any], payload: Sequence[bytes]) -> None:
        wrong = next((name for name in values if name not in self._settings), None)
        if wrong is not None:
            raise self._unknown(wrong, "setting", self._settings)
        for name, value in values.items():
            setattr(bench[self._role], name, from_json(value, payload, self._settings[name].value_type))

    def _call(self, bench: Bench, action: str, args: list[Any], kwargs: dict[str, Any], payload: list[bytes]) -> Any:
        device: DeviceProxy = bench[self._role]
        if action == "safe":
            return device.safe()
        if action not in self._operations:
            raise self._unknown(action, "operation", [*self._operations, "safe"])
        arrays = [
            name if "NDArray" in str(parameter.annotation) else ""
            for name, parameter in inspect.signature(getattr(self._kind, action)).parameters.items()
        ][1:]
        kinds = ["array" if name else "" for name in arrays] + [""] * len(args)
        positional = [from_json(value, payload, kind) for value, kind in zip(args, kinds, strict=False)]
        named = {n: from_json(value, payload, "array" if n in arrays else "") for n, value in kwargs.items()}
        return getattr(device, action)(*positional, **named)

    def _unknown(self, name: object, what: str, known: Sequence[str] | dict[str, Any]) -> JSONRPCError:
        return _invalid(f"{self._role} has no {what} {name!r:.80}; it has {', '.join(known)}")


class BenchComponent(Component):
    """The bench: who has control, what is up, emergency stop."""

    _PARAMETERS = ("devices", "role", "holder", "status", "interlocks")
    _ACTIONS = ("take_control", "renew", "give_back", "safe", "stop")

    def _get(self, bench: Bench, name: str) -> Any:
        match name:
            case "devices":
                return list(bench.devices)
            case "role":
                return self._gate.role.label
            case "holder":
                return self._gate.holder
            case "status":
                return bench.status()
            case "interlocks":
                return bench.interlocks()
        raise _invalid(f"a bench has no {name!r:.80}; it has {', '.join(self._PARAMETERS)}")

    def _set(self, bench: Bench, values: dict[str, Any], payload: Sequence[bytes]) -> None:
        raise _invalid(f"nothing of a bench is set; call one of {', '.join(self._ACTIONS)}")

    def _call(self, bench: Bench, action: str, args: list[Any], kwargs: dict[str, Any], payload: list[bytes]) -> Any:
        actions: dict[str, Callable[..., Any]] = {
            "take_control": self._take,
            "renew": lambda: bool(self._gate.holder) and self._gate.holder == self._sender,
            "give_back": lambda: self._gate.give_back(self._sender),
            "safe": bench.safe,
            "stop": lambda reason="": bench.stop(f"{self._sender} through LECO{f': {reason}' if reason else ''}"),
        }
        if action not in actions:
            raise _invalid(f"a bench has no action {action!r:.80}; it has {', '.join(self._ACTIONS)}")
        try:
            inspect.signature(actions[action]).bind(*args, **kwargs)
        except TypeError as error:
            raise _invalid(f"{action}: {error}") from None
        return actions[action](*args, **kwargs)

    def _take(self, lease_s: float = 10.0) -> None:
        if isinstance(lease_s, bool) or not isinstance(lease_s, (int, float)):
            raise _invalid(f"take_control: lease_s = {lease_s!r:.40} is no time in s")
        self._gate.take(self._sender, float(lease_s))


def _names(parameters: Any) -> list[str]:
    if not isinstance(parameters, (list, tuple)) or not all(isinstance(name, str) for name in parameters):
        raise _invalid(f"parameters {parameters!r:.80} is no list of names")
    return list(parameters)


def _invalid(what: str) -> JSONRPCError:
    error: JSONRPCError = InvalidParams(JsonRpcError(INVALID_PARAMS.code, what))
    return error


def _line(error: type) -> list[str]:
    return [one.__name__ for one in error.__mro__]
