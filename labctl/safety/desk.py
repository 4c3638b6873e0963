"""Arming, acknowledging and looking at the interlocks of a whole bench, server by server; disarming, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from drivers.errors import ConfigurationError, LabError
from labctl.bus.together import raise_first, together

_WITHIN_S = 5.0


class Asked(Protocol):
    """A connection to the control lane of a server."""

    def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> Any:
        """Ask and wait."""


Controls = Mapping[str, Asked]


def states(controls: Controls) -> list[dict[str, Any]]:
    """Every interlock of the bench once: name, rule, guards, state, tripped, reason, and what else there is to tell.

    state: "tripped", "not armed", "watching" (there is light) or "ready".
    """
    told = [_ask(control, "interlocks") for control in controls.values()]
    return merged([state for answer in told if answer for state in answer["states"]])


def merged(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What several servers tell of interlocks that guard something at each; the worst state is that of all."""
    worst = ("tripped", "not armed", "watching", "ready")
    found: dict[str, dict[str, Any]] = {}
    for state in told:
        one = found.setdefault(state["name"], dict(state))
        if one["guards"] == state["guards"]:
            continue
        one["guards"] = [*one["guards"], *(g for g in state["guards"] if g not in one["guards"])]
        if worst.index(state["state"]) < worst.index(one["state"]):
            one |= {key: value for key, value in state.items() if key not in ("guards", "armed", "dose_j")}
        if "armed" in state:
            one["armed"] = {**one.get("armed", {}), **state["armed"]}
        if "dose_j" in state:
            one["dose_j"] = max(one.get("dose_j", 0.0), state["dose_j"])
    return list(found.values())


def events(controls: Controls, run: str = "") -> list[dict[str, Any]]:
    """What interlocks did, in order: utc (s, by the server's clock), what ("tripped", "acknowledged", "armed",
    "disarmed"), interlock, text, run, age_s (how long ago, to compare with clocks of other computers). run: only of
    this one.

    Servers that do not answer are left out: that one of them ended may be why the interlock of another acted. Raises
    the error of one if none answers.
    """
    told = together({name: partial(_ask, control, "interlocks") for name, control in controls.items()})
    answers = [answer for answer in told.values() if not isinstance(answer, LabError)]
    if not answers:
        raise_first(told)
    found = [event for answer in answers if answer for event in answer["events"] if run in ("", event["run"])]
    return sorted(found, key=lambda event: -float(event["age_s"]))


def arm(controls: Controls, devices: Sequence[str], for_s: float | None, by: str) -> dict[str, dict[str, Any]]:
    """Arm emitters, all that a rule wants armed unless named; by emitter whether it is armed, by whom, until when.

    Raises LeaseError for who is no laser operator, ConfigurationError if there is nothing to arm.
    """
    arguments = {"devices": list(devices), "for_s": for_s, "by": by}
    done: dict[str, dict[str, Any]] = {}
    for control in controls.values():
        done |= _ask(control, "arm", arguments) or {}
    missing = [device for device in devices if device not in done]
    if missing or not done:
        what = f"no interlock wants {', '.join(missing)} armed" if missing else "no interlock wants anything armed"
        raise ConfigurationError(f'{what}; a bench file says so by an [interlocks.NAME] with rule = "armed"')
    return done


def disarm(controls: Controls, devices: Sequence[str], by: str) -> list[str]:
    """Disarm emitters, which turns their light off; which were armed. Servers are asked at once: one that hangs or
    fails does not keep the others in the light.

    Anybody may. Raises ConfigurationError, when the others are disarmed, for a name of nothing that can be armed.
    """
    arguments = {"devices": list(devices), "by": by}
    told = together({name: partial(_ask, control, "disarm", arguments) for name, control in controls.items()})
    raise_first(told)
    done = [device for answer in told.values() if isinstance(answer, list) for device in answer]
    can_be = {device for state in states(controls) for device in state.get("armed", {})} if devices else set()
    missing = [device for device in devices if device not in can_be]
    if missing:
        have = ", ".join(sorted(can_be)) or "nothing"
        raise ConfigurationError(f"no interlock wants {', '.join(missing)} armed; what can be disarmed is {have}")
    return done


def acknowledge(
    controls: Controls, interlock: str = "", reason: str = "", by: str = "", *, new_sample: bool = False
) -> list[str]:
    """Let there be light again after a trip, of one interlock or of all; which were tripped.

    new_sample: doses are counted from 0. Raises LeaseError for who is no laser operator, ConfigurationError if there is
    no such interlock, InterlockError if the cause of one persists or is not known to be gone.
    """
    told = {name: _ask(control, "interlocks") for name, control in controls.items()}
    known = {state["name"] for answer in told.values() if answer for state in answer["states"]}
    if interlock and interlock not in known:
        have = ", ".join(sorted(known)) or "none"
        raise ConfigurationError(f"no interlock {interlock!r}; the bench has {have}")
    arguments = {
        "interlocks": [interlock] if interlock else [], "reason": reason, "by": by, "new_sample": new_sample,
    }  # fmt: skip
    done: list[str] = []
    failure: LabError | None = None
    # Those that guard nothing come last: they only forget what they were told.
    for name in sorted(controls, key=lambda name: not (told[name] or {}).get("states")):
        if failure is not None and not (told[name] or {}).get("states"):
            continue
        try:
            done += _ask(controls[name], "acknowledge", arguments) or []
        except LabError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return sorted(set(done))


def refusals(told: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Interlocks that keep light off until a person does something, by name, and why: those that are tripped, and those
    whose emitters were armed and are no more."""
    found = {}
    for state in told:
        disarmed = [one["why"] for one in state.get("armed", {}).values() if not one["armed"] and one["why"]]
        if state["tripped"] or disarmed:
            found[str(state["name"])] = str(state["reason"] or "; ".join(disarmed))
    return found


def _ask(control: Asked, verb: str, arguments: Any = None) -> Any:
    return control.request("", verb, arguments=arguments, timeout_s=_WITHIN_S)
