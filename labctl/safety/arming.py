"""Which emitters are armed, by whom and until when. Nothing of it outlives the server: it starts disarmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Armed:
    by: str
    since_ns: int
    until_ns: float
    until_utc: float | None


class Arming:
    """Emitters by name. limits_s: the longest they may stay armed, None for as long as the server lives."""

    def __init__(self, limits_s: dict[str, float | None], now_ns: Callable[[], int]) -> None:
        self.limits_s = limits_s
        self._now_ns = now_ns
        self._armed: dict[str, _Armed] = {}
        self._why: dict[str, str] = {}

    def arm(self, devices: Iterable[str], for_s: float | None, by: str) -> list[str]:
        """Arm those of the devices that a rule wants armed; which they are."""
        chosen = [device for device in devices if device in self.limits_s]
        now_ns = self._now_ns()
        for device in chosen:
            times = [t for t in (for_s, self.limits_s[device]) if t is not None]
            least_s = min(times, default=None)
            until_ns = float("inf") if least_s is None else now_ns + least_s * 1e9
            self._armed[device] = _Armed(by, now_ns, until_ns, None if least_s is None else time.time() + least_s)
        return chosen

    def disarm(self, devices: Iterable[str], why: str) -> list[str]:
        """Which of them were armed."""
        chosen = [device for device in devices if self._armed.pop(device, None) is not None]
        self._why.update(dict.fromkeys(chosen, why))
        return chosen

    def begin(self) -> None:
        """Bench time starts anew: what is armed for a time is so from now on."""
        now_ns = self._now_ns()
        for device, armed in self._armed.items():
            span_ns = armed.until_ns - armed.since_ns
            self._armed[device] = _Armed(armed.by, now_ns, now_ns + span_ns, armed.until_utc)

    def why_not(self, device: str) -> str:
        """Why there may be no light of an emitter; "" if there may."""
        if device not in self.limits_s:
            return ""
        armed = self._armed.get(device)
        if armed is None:
            why = self._why.get(device)
            return f"{device} is not armed" + (f": {why}" if why else "")
        if self._now_ns() >= armed.until_ns:
            self.disarm([device], f"the {(armed.until_ns - armed.since_ns) / 1e9:g} s it was armed for are over")
            return self.why_not(device)
        return ""

    def status(self) -> dict[str, dict[str, object]]:
        """Of every emitter that a rule wants armed: whether it is, by whom, until when (UTC, s; None for no end), and
        why it is no more, "" if it never was."""
        found: dict[str, dict[str, object]] = {}
        for device in self.limits_s:
            why = self.why_not(device)
            armed = self._armed.get(device)
            found[device] = {
                "armed": not why,
                "by": armed.by if armed else "",
                "until_utc": armed.until_utc if armed else None,
                "why": "" if armed else self._why.get(device, ""),
            }
        return found
