"""One interlock as status, clients and commands are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.safety.doses import Doses
from labctl.safety.laser_rules import Dose
from labctl.safety.latch import Latch
from labctl.safety.rules import Interlock


def state_of(
    interlock: Interlock, latch: Latch, armed: Mapping[str, Mapping[str, object]], doses: Doses, *, lit: bool
) -> dict[str, Any]:
    """Name, rule, guards, state, whether it is tripped and why; who armed what; the dose. armed: of every emitter."""
    name, guards, trip = interlock.name, interlock.guards, latch.tripped.get(interlock.name)
    told: dict[str, Any] = {
        "name": name, "rule": interlock.rule.rule, "guards": list(guards), "tripped": trip is not None,
        "state": "tripped" if trip else "watching" if lit else "ready", "reason": latch.told(trip) if trip else "",
    }  # fmt: skip
    if trip:
        told |= {"value": trip.value, "limit": trip.limit, "device": trip.device, "utc": trip.utc, "run": trip.run}
    if interlock.rule.rule == "armed":
        told["armed"] = {device: armed[device] for device in guards if device in armed}
        if not trip and not all(one["armed"] for one in told["armed"].values()):
            told["state"] = "not armed"
    if isinstance(interlock.rule, Dose):
        told |= {"dose_j": doses.joules(name), "limit_j": interlock.rule.limit}
    return told
