"""The guard of one server's emitters: refuses light, puts it out when a rule is broken, and keeps it out.

`look` judges every rule; in real time a thread calls it every ``every``, in virtual time the server after each call.
What it finds wrong while there is light trips the interlock: the light goes out first, then everybody is told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.errors import InterlockError
from labctl.safety.arming import Arming
from labctl.safety.doses import Doses
from labctl.safety.laser_rules import Dose
from labctl.safety.record import Kept, Record, Trip
from labctl.safety.rules import Interlock, Light, Seen, Violation
from labctl.safety.sources import Source

log = logging.getLogger(__name__)

LOST = "record"
"""Name of the interlock that is tripped when what was tripped before a restart cannot be read."""
_AT_REST_EVERY_S = 0.25
_REFRESH_PATIENCE_S = 2.0
_LOOK_ANEW_PATIENCE_S = 0.5
_EVENTS_KEPT = 200
_NOTHING = Seen()


class Guard:
    """interlocks: with those of their guards that this server has. sources: where each watched device is seen, by
    interlock and device. power_w: of an emitter, on the sample by a dose rule. act: called with a trip, and a text,
    outside of any lock; puts the light out and tells everybody. run_of: which run has control of an emitter."""

    def __init__(
        self,
        bench: str,
        interlocks: Mapping[str, Interlock],
        sources: Mapping[tuple[str, str], Source],
        record: Record,
        now_ns: Callable[[], int],
        *,
        virtual: bool,
        power_w: Callable[[Dose, str], float],
        act: Callable[[Trip, str], None],
        run_of: Callable[[Sequence[str]], str],
    ) -> None:
        self._bench = bench
        self._interlocks = dict(interlocks)
        self._sources = dict(sources)
        self._record = record
        self._now_ns = now_ns
        self._virtual = virtual
        self._power_w = power_w
        self._act = act
        self._run_of = run_of
        armed = [i for i in interlocks.values() if i.rule.rule == "armed"]
        limits: dict[str, float | None] = {}
        for interlock in armed:
            for device in interlock.guards:
                times = [t for t in (limits.get(device), getattr(interlock.rule, "for_", None)) if t is not None]
                limits[device] = min(times, default=None)
        self.arming = Arming(limits, now_ns)
        self._doses = Doses({n: i.rule for n, i in interlocks.items() if isinstance(i.rule, Dose)}, record.kept.doses)
        self._tripped = dict(record.kept.tripped)
        emitters = sorted({device for i in interlocks.values() for device in i.guards})
        if record.lost:
            self._tripped[LOST] = Trip(
                LOST, LOST, "", record.lost, "a record of what is tripped", time.time(), emitters
            )
        self.emitters = tuple(emitters)
        self._lit: dict[str, int | None] = {}
        self._acted: dict[str, int] = dict.fromkeys(emitters, 0)
        self.events: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="labctl-guard", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        for trip in self._tripped.values():
            log.warning("%s", self.told(trip))
        if not self._virtual:
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and keep what is to be kept."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        with self._lock:
            self._keep()

    # --- light ------------------------------------------------------------------------------------------------------

    def ready(self, device: str) -> int:
        """Raise InterlockError unless there may be light; else a number for `still`. Under the server's lock."""
        begun, guarding = self._acted[device], [i for i in self._interlocks.values() if device in i.guards]
        self._refuse(device)
        sources = {id(s): s for (name, _), s in self._sources.items() if any(i.name == name for i in guarding)}
        until = time.monotonic() + _REFRESH_PATIENCE_S
        while True:
            for source in sources.values():
                source.want()
                source.refresh()
            wrong = self._first_wrong(guarding)
            # Another server may need a moment until it is free to ask.
            if wrong is None or self._virtual or not self._old(*wrong) or time.monotonic() > until:
                break
        if wrong is not None:
            interlock, violation = wrong
            raise InterlockError(
                f"{device}.emission: interlock {interlock.name} ({interlock.rule.rule}) refuses light: "
                f"{violation.value}; allowed is {violation.limit}. It stays off"
            )
        return begun

    def _refuse(self, device: str) -> None:
        for trip in list(self._tripped.values()):
            if device in trip.guards:
                raise InterlockError(f"{device}.emission is refused: {self.told(trip)}")
        why = self.arming.why_not(device)
        if why:
            raise InterlockError(f"{device}.emission is refused: {why}; a laser operator arms it: {self._cure('arm')}")
        if self._record.trouble and any(
            device in i.guards for i in self._interlocks.values() if i.name in self._doses.rules
        ):
            raise InterlockError(
                f"{device}.emission is refused: {self._record.trouble}, and doses could not be kept; make room, or set "
                "LABCTL_INTERLOCKS to a folder that can be written"
            )

    def _first_wrong(self, interlocks: Sequence[Interlock]) -> tuple[Interlock, Violation] | None:
        for interlock in interlocks:
            violation = self._judge(interlock, Light(False, None, self._now_ns(), self._joules(interlock.name)))
            if violation is not None:
                return interlock, violation
        return None

    def _old(self, interlock: Interlock, violation: Violation) -> bool:
        """Whether what is wrong may be that nobody looked for long."""
        key = (interlock.name, violation.device)
        within_s = getattr(interlock.rule, "within", None)
        if key not in self._sources or within_s is None:
            return False
        seen_ns = self._sources[key].seen(key).at_ns
        return not seen_ns or self._now_ns() - seen_ns > within_s * 1e9

    def still(self, device: str, begun: int) -> None:
        """Raise InterlockError if an interlock acted on the device since `ready`."""
        if self._acted[device] != begun:
            self._refuse(device)
            raise InterlockError(f"{device}.emission: an interlock acted while the light was coming on; it is off")

    def coming(self, device: str) -> None:
        """The emitter is being told to emit: from now on there is light."""
        with self._lock:
            self._lit[device] = None
            for name in self._doses.rules:
                if device in self._interlocks[name].guards:
                    self._count_dose(self._interlocks[name])
        self._wake.set()

    def came(self, device: str) -> None:
        """It has been told, and emits."""
        with self._lock:
            if device in self._lit:
                self._lit[device] = self._now_ns()

    def gone(self, device: str) -> None:
        """It is dark."""
        with self._lock:
            if self._lit.pop(device, 0) == 0:
                return
            for name in self._doses.rules:
                if not any(d in self._lit for d in self._interlocks[name].guards):
                    self._doses.dark(name, self._now_ns())
            self._keep()

    def lit(self, device: str = "") -> bool:
        """Whether there is light, of an emitter or at all."""
        return device in self._lit if device else bool(self._lit)

    def guards_of(self, interlock: str) -> tuple[str, ...]:
        """Emitters here that an interlock guards."""
        return self._interlocks[interlock].guards if interlock in self._interlocks else ()

    def is_tripped(self, interlock: str = "") -> bool:
        """Whether one is, or any."""
        return interlock in self._tripped if interlock else bool(self._tripped)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self) -> bool:
        """Judge every rule, act on what is wrong; whether there was light."""
        trips: list[Trip] = []
        with self._lock:
            lit = bool(self._lit)
            if lit or self._tripped:
                for source in self._sources.values():
                    source.want()
            for interlock in self._interlocks.values():
                if interlock.name in self._tripped:
                    continue
                if any(device in self._lit for device in interlock.guards):
                    self._count_dose(interlock)
                elif not interlock.rule.at_rest:
                    continue
                violation = self._judge(interlock, self._light(interlock))
                if violation is not None:
                    trips.append(self._latch(interlock, violation))
            for device in list(self._lit):
                why = self.arming.why_not(device)
                if why:
                    trips.append(self._put_out(device, why))
            if lit and self._doses.due:
                self._keep()
        for trip in trips:
            self._act(trip, self.told(trip))
        return lit

    def _light(self, interlock: Interlock) -> Light:
        since = [self._lit[device] for device in interlock.guards if device in self._lit]
        known = [ns for ns in since if ns is not None]
        since_ns = min(known) if since and len(known) == len(since) else None
        return Light(bool(since), since_ns, self._now_ns(), self._joules(interlock.name))

    def _joules(self, interlock: str) -> float:
        return self._doses.joules(interlock) if interlock in self._doses.rules else 0.0

    def _judge(self, interlock: Interlock, light: Light) -> Violation | None:
        rule = interlock.rule
        for device in rule.watched(interlock.guards) or interlock.guards[:1]:
            source = self._sources.get((interlock.name, device))
            seen = source.seen((interlock.name, device)) if source is not None else _NOTHING
            violation = rule.judge(device, seen, light)
            if violation is not None:
                return violation
        return None

    def _count_dose(self, interlock: Interlock) -> None:
        rule = interlock.rule
        if not isinstance(rule, Dose):
            return
        power_w: float | None
        if rule.device is None:
            power_w = sum(self._power_w(rule, device) for device in interlock.guards if device in self._lit)
        else:
            value = self._sources[interlock.name, rule.device].seen((interlock.name, rule.device)).value
            power_w = None if value is None else float(value[1]) * rule.factor
        self._doses.advance(interlock.name, power_w, self._now_ns())

    def _watch(self) -> None:
        every_s = min((i.rule.every for i in self._interlocks.values()), default=0.05)
        at_rest = any(i.rule.at_rest for i in self._interlocks.values())
        next_s = time.monotonic()
        while not self._stop.is_set():
            if not self._lit and not self._tripped and not at_rest:
                self._wake.wait()
                self._wake.clear()
                continue
            try:
                if at_rest:
                    for source in self._sources.values():
                        source.want()
                self.look()
            except Exception:  # whatever happens, it goes on looking
                log.exception("the guard failed once and goes on")
            pause_s = every_s if self._lit else _AT_REST_EVERY_S
            next_s = max(next_s + pause_s, time.monotonic())
            self._wake.wait(max(next_s - time.monotonic(), 0.0))
            self._wake.clear()

    # --- tripping ---------------------------------------------------------------------------------------------------

    def _latch(self, interlock: Interlock, violation: Violation) -> Trip:
        trip = Trip(
            interlock.name, interlock.rule.rule, violation.device, violation.value, violation.limit, time.time(),
            [*interlock.guards, *interlock.elsewhere], self._run_of(interlock.guards),
        )  # fmt: skip
        self.take(trip)
        return trip

    def take(self, trip: Trip) -> None:
        """A trip is latched, also one of another server whose light this server's interlock guards, too."""
        with self._lock:
            self._tripped[trip.interlock] = trip
            for device in trip.guards:
                if device in self._acted:
                    self._acted[device] += 1
            self._event("tripped", trip.interlock, self.told(trip), trip.run)
            self._keep()

    def _put_out(self, device: str, why: str) -> Trip:
        name = next((n for n, i in self._interlocks.items() if i.rule.rule == "armed" and device in i.guards), "armed")
        self._acted[device] += 1
        run = self._run_of([device])
        trip = Trip(name, "armed", device, why, "armed emitters", time.time(), [device], run)
        self._event("disarmed", name, self.told(trip), run)
        return trip

    def told(self, trip: Trip) -> str:
        """A trip in words, for whoever is refused, and the log."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(trip.utc))
        if trip.rule == "armed":
            return f"emission of {trip.device} was turned off at {when} UTC: {trip.value}. Arm it: {self._cure('arm')}"
        return (
            f"interlock {trip.interlock} ({trip.rule}) tripped at {when} UTC: {trip.value}; allowed is {trip.limit}. "
            f"Emission of {', '.join(trip.guards) or 'everything'} stays off. Find the cause, then "
            f"{self._cure('ack')} --interlock {trip.interlock}"
        )

    def _cure(self, command: str) -> str:
        return f"labctl {command} {self._bench}"

    # --- people -----------------------------------------------------------------------------------------------------

    def disarm(self, devices: Sequence[str], why: str) -> list[str]:
        """Disarm emitters; what emitted goes dark."""
        done = self.arming.disarm(devices or self.emitters, why)
        if done:
            self._event("disarmed", "", why, self._run_of(done))
        self.look()
        return done

    def arm(self, devices: Sequence[str], for_s: float | None, by: str) -> dict[str, dict[str, object]]:
        """Arm emitters of this server that a rule wants armed; how each of them is."""
        done = self.arming.arm(devices or self.emitters, for_s, by)
        if done:
            self._event("armed", "", f"{', '.join(done)} by {by}", "")
            log.warning("%s armed by %s", ", ".join(done), by)
        return {device: told for device, told in self.arming.status().items() if device in done}

    def acknowledge(self, name: str, by: str, reason: str, *, new_sample: bool) -> list[str]:
        """Let there be light again after trips, of one interlock or of all; which were tripped.

        Raises InterlockError, and lets none be, if the cause of one of them persists, or is not known to be gone.
        """
        self._look_anew([n for n in list(self._tripped) if name in ("", n)])
        with self._lock:
            chosen = {n: trip for n, trip in self._tripped.items() if name in ("", n)}
            if new_sample:
                for dose in self._doses.rules if not name else [n for n in self._doses.rules if n == name]:
                    self._doses.anew(dose)
            for trip in chosen.values():
                interlock = self._interlocks.get(trip.interlock)
                violation = None if interlock is None else self._judge(interlock, self._light(interlock))
                if violation is not None:
                    raise InterlockError(
                        f"interlock {trip.interlock} ({trip.rule}) stays tripped, its cause persists: "
                        f"{violation.value}; allowed is {violation.limit}"
                    )
            for trip in chosen.values():
                del self._tripped[trip.interlock]
                self._event("acknowledged", trip.interlock, f"by {by}" + (f": {reason}" if reason else ""), trip.run)
                log.warning("interlock %s acknowledged by %s%s", trip.interlock, by, f": {reason}" if reason else "")
            self._keep()
            return list(chosen)

    def _look_anew(self, interlocks: Sequence[str]) -> None:
        """Have what they watch looked at since now, and counted from 0; as far as that comes soon."""
        begun_ns, until = self._now_ns(), time.monotonic() + _LOOK_ANEW_PATIENCE_S
        watched = {key: source for key, source in self._sources.items() if key[0] in interlocks}
        for source in {id(s): s for s in watched.values()}.values():
            source.forget(interlocks)
            source.ask_again()
        while not self._virtual and time.monotonic() < until:
            if all(source.seen(key).at_ns >= begun_ns for key, source in watched.items()):
                return
            time.sleep(0.01)

    # --- sessions, status -------------------------------------------------------------------------------------------

    def begin(self, devices: Sequence[str]) -> None:
        """A session begins on devices, which are dark."""
        with self._lock:
            if self._virtual:
                self.arming.begin()
            for name in self._guarding(devices):
                self._doses.begin(name)

    def end(self, devices: Sequence[str]) -> None:
        """Control of them was given back in order."""
        with self._lock:
            for name in self._guarding(devices):
                self._doses.end(name)
            self._keep()

    def _guarding(self, devices: Sequence[str]) -> list[str]:
        return [n for n in self._doses.rules if set(self._interlocks[n].guards) & set(devices)]

    def _keep(self) -> None:
        self._record.keep(Kept({n: t for n, t in self._tripped.items() if n != LOST}, self._doses.to_keep()))

    def _event(self, what: str, interlock: str, text: str, run: str) -> None:
        self.events.append({"utc": time.time(), "what": what, "interlock": interlock, "text": text, "run": run})
        del self.events[:-_EVENTS_KEPT]

    def status(self) -> list[dict[str, Any]]:
        """Every interlock: rule, guards, whether it is tripped and why, who armed what, dose."""
        with self._lock:
            names = [*self._interlocks, *(n for n in self._tripped if n not in self._interlocks)]
            return [self._status(name, self.arming.status()) for name in names]

    def _status(self, name: str, armed: dict[str, dict[str, object]]) -> dict[str, Any]:
        trip, interlock = self._tripped.get(name), self._interlocks.get(name)
        guards = interlock.guards if interlock is not None else tuple(trip.guards if trip else ())
        rule = interlock.rule.rule if interlock is not None else trip.rule if trip else ""
        told: dict[str, Any] = {"name": name, "rule": rule, "guards": list(guards), "tripped": trip is not None}
        told["state"] = "tripped" if trip else "watching" if any(d in self._lit for d in guards) else "ready"
        told["reason"] = self.told(trip) if trip else ""
        if trip:
            told |= {"value": trip.value, "limit": trip.limit, "device": trip.device, "utc": trip.utc, "run": trip.run}
        if rule == "armed":
            told["armed"] = {device: armed[device] for device in guards if device in armed}
            if not all(state["armed"] for state in told["armed"].values()):
                told["state"] = "not armed"
        if interlock is not None and isinstance(interlock.rule, Dose):
            told |= {"dose_j": self._doses.joules(name), "limit_j": interlock.rule.limit}
        return told
