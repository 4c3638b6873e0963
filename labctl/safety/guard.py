"""The guard of one server's emitters: refuses light, puts it out when a rule is broken, and keeps it out.

`look` judges every rule; in real time a thread calls it every ``every``, in virtual time the server after each call.
What it finds wrong while there is light trips the interlock: the light goes out first, then everybody is told.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.errors import InterlockError
from labctl.safety.arming import Arming
from labctl.safety.doses import Doses
from labctl.safety.judging import Judge
from labctl.safety.laser_rules import Dose
from labctl.safety.latch import Latch
from labctl.safety.record import Kept, Record, Trip
from labctl.safety.rules import Interlock, Rule, Violation
from labctl.safety.sources import Source
from labctl.safety.state import state_of

log = logging.getLogger(__name__)

_AT_REST_EVERY_S = 0.25
_REFRESH_PATIENCE_S, _REFRESH_EVERY_S = 2.0, 0.01
_INSIST_EVERY_S = 0.5


class Guard:
    """interlocks: with those of their guards that this server has. sources: where each watched device is seen, by
    interlock and device. power_w: of an emitter, on the sample by a dose rule. act: called with a trip, and a text,
    outside of any lock; puts the light out and tells everybody. darken: makes emitters safe. run_of: which run has
    control of an emitter."""

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
        darken: Callable[[Sequence[str]], None],
        run_of: Callable[[Sequence[str]], str],
    ) -> None:
        self._interlocks = dict(interlocks)
        self._record = record
        self._now_ns = now_ns
        self._virtual = virtual
        self._act = act
        self._darken = darken
        self._run_of = run_of
        armed = [i for i in interlocks.values() if i.rule.rule == "armed"]
        limits: dict[str, float | None] = {}
        for interlock in armed:
            for device in interlock.guards:
                times = [t for t in (limits.get(device), getattr(interlock.rule, "for_", None)) if t is not None]
                limits[device] = min(times, default=None)
        self.arming = Arming(limits, now_ns)
        doses = {name: i.rule for name, i in interlocks.items() if isinstance(i.rule, Dose)}
        self._doses = Doses(doses, record.kept.doses)
        emitters = sorted({device for i in interlocks.values() for device in i.guards})
        self.latch = Latch(bench, record, emitters)
        record.kept = Kept(self.latch.to_keep(), record.kept.doses)  # also that it was lost, if it was
        self.emitters = tuple(emitters)
        self._lit: dict[str, int | None] = {}
        self._judge = Judge(interlocks, sources, self._doses, self._lit, now_ns, power_w)
        self._insisted_s = 0.0
        self._disarmed: set[str] = set()
        """Emitters that were lit when they were disarmed, until they are dark or are told to emit again."""
        self._acted: dict[str, int] = dict.fromkeys(emitters, 0)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="labctl-guard", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        for trip in self.latch.tripped.values():
            log.warning("%s", self.latch.told(trip))
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
        until = time.monotonic() + _REFRESH_PATIENCE_S
        while True:
            self._judge.refresh(guarding)
            wrong = self._judge.wrong_before_light(guarding)
            # Another server may need a moment until it is free to ask.
            if wrong is None or self._virtual or not self._judge.is_old(*wrong) or time.monotonic() > until:
                break
            time.sleep(_REFRESH_EVERY_S)
        if wrong is not None:
            interlock, violation = wrong
            raise InterlockError(
                f"{device}.emission: interlock {interlock.name} ({interlock.rule.rule}) refuses light: "
                f"{violation.value}; allowed is {violation.limit}. It stays off"
            )
        return begun

    def _refuse(self, device: str) -> None:
        for trip in list(self.latch.tripped.values()):
            if device in trip.guards:
                raise InterlockError(f"{device}.emission is refused: {self.latch.told(trip)}")
        why = self.arming.why_not(device)
        if why:
            raise InterlockError(
                f"{device}.emission is refused: {why}; a laser operator arms it: {self.latch.cure('arm')}"
            )
        if self._record.trouble and self._judge.of_doses([device]):
            raise InterlockError(
                f"{device}.emission is refused: {self._record.trouble}, and doses could not be kept; make room, or set "
                "LABCTL_INTERLOCKS to a folder that can be written"
            )

    def still(self, device: str, begun: int) -> None:
        """Raise InterlockError if an interlock acted on the device since `ready`."""
        if self._acted[device] != begun:
            self._refuse(device)
            raise InterlockError(f"{device}.emission: an interlock acted while the light was coming on; it is off")

    def coming(self, device: str) -> None:
        """The emitter is being told to emit: from now on there is light. Where it emits already it is not new: a loop
        that says so again and again is judged as any other."""
        with self._lock:
            self._lit.setdefault(device, None)
            self._disarmed.discard(device)
            for name in self._judge.of_doses([device]):
                self._judge.count_dose(self._interlocks[name])
        self._wake.set()

    def came(self, device: str) -> None:
        """It has been told, and emits."""
        with self._lock:
            if device in self._lit and self._lit[device] is None:
                self._lit[device] = self._now_ns()

    def gone(self, device: str) -> None:
        """It is dark."""
        with self._lock:
            self._disarmed.discard(device)
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
        return interlock in self.latch.tripped if interlock else bool(self.latch.tripped)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self) -> bool:
        """Judge every rule, act on what is wrong; whether there was light."""
        trips: list[Trip] = []
        with self._lock:
            lit = bool(self._lit)
            if lit or self.latch.tripped:
                self._judge.want()
            for interlock in self._interlocks.values():
                if interlock.name in self.latch.tripped:
                    continue
                if any(device in self._lit for device in interlock.guards):
                    self._judge.count_dose(interlock)
                elif not interlock.rule.at_rest:
                    continue
                violation = self._judge.wrong(interlock)
                if violation is not None:
                    trips.append(self._latch(interlock, violation))
            for device in list(self._lit):
                why = self.arming.why_not(device)
                if why and device not in self._disarmed:
                    trips.append(self._put_out(device, why))
            if trips:  # what puts them out now need not be told again while it is at it
                self._insisted_s = time.monotonic()
            if lit and self._doses.due:
                self._keep()
        for trip in trips:
            self._act(trip, self.latch.told(trip))
        if (self.latch.tripped or self._disarmed) and not trips:
            self._insist()
        return lit

    def _insist(self) -> None:
        """An emitter that should be dark and could not be told so is told again."""
        tripped = dict(self.latch.tripped)
        dark = {device for trip in tripped.values() for device in trip.guards} | self._disarmed
        left = {device for device in list(self._lit) if device in dark}
        for interlock in (self._interlocks[name] for name in tripped if name in self._interlocks):
            left |= {device for device in self._judge.defiant(interlock) if device not in self._lit}
        if left and time.monotonic() - self._insisted_s > _INSIST_EVERY_S:
            self._insisted_s = time.monotonic()
            log.error("%s may still emit, and is told again to be dark", ", ".join(sorted(left)))
            self._darken(sorted(left))

    def _watch(self) -> None:
        every_s = min((i.rule.every for i in self._interlocks.values()), default=0.05)
        at_rest = [i for i in self._interlocks.values() if i.rule.at_rest]
        next_s = time.monotonic()
        while not self._stop.is_set():
            if not self._lit and not self.latch.tripped and not at_rest:
                self._wake.wait()
                self._wake.clear()
                continue
            try:
                if at_rest:
                    self._judge.want(at_rest)  # and no meter of another server: without light nobody needs it
                self.look()
            except Exception:  # whatever happens, it goes on looking; and what it cannot judge is not safe
                self._darken(list(self._lit))
                with contextlib.suppress(Exception):  # a server without memory cannot even tell
                    log.exception("the guard failed once, put the light out, and goes on")
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
            self.latch.tripped[trip.interlock] = trip
            for device in trip.guards:
                if device in self._acted:
                    self._acted[device] += 1
            self.latch.event("tripped", trip.interlock, self.latch.told(trip), trip.run)
            self._keep()

    def _put_out(self, device: str, why: str) -> Trip:
        name = next((n for n, i in self._interlocks.items() if i.rule.rule == "armed" and device in i.guards), "armed")
        self._acted[device] += 1
        self._disarmed.add(device)
        run = self._run_of([device])
        trip = Trip(name, "armed", device, why, "armed emitters", time.time(), [device], run)
        self.latch.event("disarmed", name, self.latch.told(trip), run)
        return trip

    # --- people -----------------------------------------------------------------------------------------------------

    def disarm(self, devices: Sequence[str], why: str) -> list[str]:
        """Disarm emitters; what emitted goes dark."""
        done = self.arming.disarm(devices or self.emitters, why)
        if done:
            self.latch.event("disarmed", "", why, self._run_of(done))
        self.look()
        return done

    def arm(self, devices: Sequence[str], for_s: float | None, by: str) -> dict[str, dict[str, object]]:
        """Arm emitters of this server that a rule wants armed; how each of them is."""
        done = self.arming.arm(devices or self.emitters, for_s, by)
        if done:
            self.latch.event("armed", "", f"{', '.join(done)} by {by}", "")
            log.warning("%s armed by %s", ", ".join(done), by)
        return {device: told for device, told in self.arming.status().items() if device in done}

    def acknowledge(self, name: str, by: str, reason: str, *, new_sample: bool) -> list[str]:
        """Let there be light again after trips, of one interlock or of all; which were tripped.

        Raises InterlockError, and lets none be, if the cause of one of them persists, or is not known to be gone.
        """
        self._judge.look_anew([n for n in list(self.latch.tripped) if name in ("", n)], virtual=self._virtual)
        with self._lock:
            chosen = {n: trip for n, trip in self.latch.tripped.items() if name in ("", n)}
            if new_sample:
                for dose in self._doses.rules if not name else [n for n in self._doses.rules if n == name]:
                    self._doses.anew(dose)
            for trip in chosen.values():
                interlock = self._interlocks.get(trip.interlock)
                violation = None if interlock is None else self._judge.wrong(interlock)
                if violation is not None:
                    raise InterlockError(
                        f"interlock {trip.interlock} ({trip.rule}) stays tripped, its cause persists: "
                        f"{violation.value}; allowed is {violation.limit}"
                    )
            for trip in chosen.values():
                self.latch.release(trip, by, reason)
            self._keep()
            return list(chosen)

    # --- sessions, status -------------------------------------------------------------------------------------------

    def begin(self, devices: Sequence[str]) -> None:
        """A session begins on devices, which are dark."""
        with self._lock:
            if self._virtual:
                self.arming.begin()
            for name in self._judge.of_doses(devices):
                self._doses.begin(name)

    def end(self, devices: Sequence[str]) -> None:
        """Control of them was given back in order."""
        with self._lock:
            for name in self._judge.of_doses(devices):
                self._doses.end(name)
            self._keep()

    def _keep(self) -> None:
        self._record.keep(Kept(self.latch.to_keep(), self._doses.to_keep()))

    def status(self) -> list[dict[str, Any]]:
        """Every interlock: rule, guards, whether it is tripped and why, who armed what, dose."""
        with self._lock:
            armed = self.arming.status()
            unknown = [Interlock(n, Rule(rule=t.rule), tuple(t.guards)) for n, t in self.latch.tripped.items()
                       if n not in self._interlocks]  # fmt: skip
            return [
                state_of(i, self.latch, armed, self._doses, lit=any(device in self._lit for device in i.guards))
                for i in [*self._interlocks.values(), *unknown]
            ]
