"""What people ask of one server's interlocks: to arm, to disarm, to acknowledge, to know. Who may is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.errors import BusError, ConfigurationError
from labctl.bus.roles import LOCAL_USER, Caller, Role
from labctl.safety.guard import Guard
from labctl.safety.notices import Notices
from labctl.safety.rules import Interlock

PEOPLES_VERBS = ("interlocks", "arm", "disarm", "acknowledge")


class People:
    """guard: None on a server without emitters. interlocks: all of the bench."""

    def __init__(self, guard: Guard | None, notices: Notices, interlocks: Mapping[str, Interlock]) -> None:
        self._guard = guard
        self._notices = notices
        self._interlocks = interlocks

    def handle(self, verb: str, arguments: Any, caller: Caller) -> Any:
        """Answer one of `PEOPLES_VERBS`."""
        match verb:
            case "arm":
                return self.arm(arguments, caller)
            case "disarm":
                return self.disarm(arguments, caller)
            case "acknowledge":
                return self.acknowledge(arguments, caller)
        events = self._guard.latch.events() if self._guard is not None else []
        return {"states": self.status(), "events": events}

    def status(self) -> list[dict[str, Any]]:
        """Every interlock that guards something here."""
        return self._guard.status() if self._guard is not None else []

    def arm(self, arguments: Any, caller: Caller) -> dict[str, Any]:
        """Arm emitters of this server; how they are now, by name."""
        caller.must_be(Role.LASER_OPERATOR, "arming")
        devices, for_s = _names(arguments, "devices"), arguments.get("for_s")
        if for_s is not None and not (isinstance(for_s, (int, float)) and 0 < for_s <= 7 * 86400):
            raise ConfigurationError(f"armed for {for_s!r} s; more than 0 s and at most 7 days can be")
        self._forget_notices([n for n, i in self._interlocks.items() if i.rule.rule == "armed"])
        return self._guard.arm(devices, for_s, _who(arguments, caller)) if self._guard is not None else {}

    def disarm(self, arguments: Any, caller: Caller) -> list[str]:
        """Disarm emitters of this server; which were armed."""
        if self._guard is None:
            return []
        return self._guard.disarm(_names(arguments, "devices"), f"it was disarmed by {_who(arguments, caller)}")

    def acknowledge(self, arguments: Any, caller: Caller) -> list[str]:
        """Acknowledge trips of this server; which interlocks were tripped."""
        caller.must_be(Role.LASER_OPERATOR, "acknowledging an interlock")
        names = _names(arguments, "interlocks")
        name, reason = names[0] if names else "", str(arguments.get("reason", ""))[:500]
        done = []
        if self._guard is not None:
            new_sample = bool(arguments.get("new_sample"))
            done = self._guard.acknowledge(name, _who(arguments, caller), reason, new_sample=new_sample)
        self._forget_notices([name] if name else [*self._interlocks, *done])
        return done

    def _forget_notices(self, interlocks: Iterable[str]) -> None:
        self._notices.forget([n for n in interlocks if self._guard is None or not self._guard.is_tripped(n)])


def _names(arguments: Any, key: str) -> list[str]:
    found = arguments.get(key) if isinstance(arguments, dict) else None
    if not isinstance(arguments, dict) or not (found is None or isinstance(found, list)):
        raise BusError(f"malformed arguments; a table with the list `{key}` is needed")
    return [str(name) for name in found or []]


def _who(arguments: Mapping[str, Any], caller: Caller) -> str:
    said = str(arguments.get("by", ""))[:200]
    return said if caller is LOCAL_USER and said else f"{said} [{caller.name}]".strip()
