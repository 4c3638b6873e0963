"""Rules held against what is seen: which is broken, on what light. It acts on nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from labctl.safety.doses import Doses
from labctl.safety.laser_rules import Dose, ReadBack
from labctl.safety.rules import Interlock, Light, Seen, Violation
from labctl.safety.sources import Source

log = logging.getLogger(__name__)

_LOOK_ANEW_PATIENCE_S = 0.5
_NOTHING = Seen()

Key = tuple[str, str]


class Judge:
    """lit: emitters that emit, with the bench time since when; None while light is coming. Others as in `Guard`."""

    def __init__(
        self,
        interlocks: Mapping[str, Interlock],
        sources: Mapping[Key, Source],
        doses: Doses,
        lit: Mapping[str, int | None],
        now_ns: Callable[[], int],
        power_w: Callable[[Dose, str], float],
    ) -> None:
        self.interlocks = dict(interlocks)
        self.doses = doses
        self._sources = dict(sources)
        self._lit = lit
        self._now_ns = now_ns
        self._power_w = power_w

    def wrong(self, interlock: Interlock) -> Violation | None:
        """What is wrong now."""
        since = [self._lit[device] for device in interlock.guards if device in self._lit]
        known = [ns for ns in since if ns is not None]
        since_ns = min(known) if since and len(known) == len(since) else None
        return self._judge(interlock, Light(bool(since), since_ns, self._now_ns(), self._joules(interlock.name)))

    def wrong_before_light(self, interlocks: Sequence[Interlock]) -> tuple[Interlock, Violation] | None:
        """The first rule that forbids light, whatever else may emit already."""
        for interlock in interlocks:
            light = Light(lit=False, since_ns=None, now_ns=self._now_ns(), dose_j=self._joules(interlock.name))
            violation = self._judge(interlock, light)
            if violation is not None:
                return interlock, violation
        return None

    def _judge(self, interlock: Interlock, light: Light) -> Violation | None:
        rule = interlock.rule
        for device in rule.watched(interlock.guards) or interlock.guards[:1]:
            source = self._sources.get((interlock.name, device))
            seen = source.seen((interlock.name, device)) if source is not None else _NOTHING
            try:
                violation = rule.judge(device, seen, light)
            except Exception as error:  # what cannot be judged is not known, and what is not known is not safe
                log.exception("interlock %s could not be judged", interlock.name, extra={"device": device})
                found = f"{device} could not be judged ({type(error).__name__}: {error!s:.200})"
                violation = Violation(device, found, "a value that can be")
            if violation is not None:
                return violation
        return None

    def defiant(self, interlock: Interlock) -> list[str]:
        """Lasers that say they emit though they were told to be dark, by a rule that asks them."""
        if not isinstance(interlock.rule, ReadBack):
            return []
        seen = {device: self._sources[interlock.name, device].seen((interlock.name, device)).value
                for device in interlock.guards}  # fmt: skip
        return [device for device, value in seen.items() if value is not None and value[2]]

    # --- looking ----------------------------------------------------------------------------------------------------

    def want(self, interlocks: Sequence[Interlock] | None = None) -> None:
        """Have what these watch be looked at; everything, unless named."""
        names = self.interlocks.keys() if interlocks is None else {interlock.name for interlock in interlocks}
        for (name, _), source in self._sources.items():
            if name in names:
                source.want()

    def refresh(self, interlocks: Sequence[Interlock]) -> None:
        """Before light: have looked at what these watch, under the server's lock."""
        names = {interlock.name for interlock in interlocks}
        for source in {id(s): s for (name, _), s in self._sources.items() if name in names}.values():
            source.want()
            source.refresh()

    def is_old(self, interlock: Interlock, violation: Violation) -> bool:
        """Whether what is wrong may be no more than that nobody looked for long."""
        key, within_s = (interlock.name, violation.device), getattr(interlock.rule, "within", None)
        if key not in self._sources or within_s is None:
            return False
        seen_ns = self._sources[key].seen(key).at_ns
        return not seen_ns or self._now_ns() - seen_ns > within_s * 1e9

    def look_anew(self, interlocks: Sequence[str], *, virtual: bool) -> None:
        """Have what these watch looked at since now, and counted from 0; as far as that comes soon."""
        begun_ns, until = self._now_ns(), time.monotonic() + _LOOK_ANEW_PATIENCE_S
        watched = {key: source for key, source in self._sources.items() if key[0] in interlocks}
        for source in {id(s): s for s in watched.values()}.values():
            source.forget(interlocks)
            source.ask_again()
        while not virtual and time.monotonic() < until:
            if all(source.seen(key).at_ns >= begun_ns for key, source in watched.items()):
                return
            time.sleep(0.01)

    # --- doses ------------------------------------------------------------------------------------------------------

    def _joules(self, interlock: str) -> float:
        return self.doses.joules(interlock) if interlock in self.doses.rules else 0.0

    def of_doses(self, devices: Sequence[str]) -> list[str]:
        """Names of dose interlocks that guard any of these emitters."""
        return [name for name in self.doses.rules if set(self.interlocks[name].guards) & set(devices)]

    def count_dose(self, interlock: Interlock) -> None:
        """Up to now, if it is one of a dose."""
        rule = interlock.rule
        if not isinstance(rule, Dose):
            return
        power_w: float | None
        if rule.device is None:
            power_w = sum(self._power_w(rule, device) for device in interlock.guards if device in self._lit)
        else:
            value = self._sources[interlock.name, rule.device].seen((interlock.name, rule.device)).value
            # Beyond its range it trips the rule, and what was counted so far stays a number.
            power_w = None if value is None or not math.isfinite(value[1]) else float(value[1]) * rule.factor
        self.doses.advance(interlock.name, power_w, self._now_ns())
