"""What a device server has of a bench's interlocks: it tells of every call before and after, and of light that comes
and goes; and it answers arming, acknowledging and the other servers.

A bench without interlocks has none of this, and no server of it does more than look whether there is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from drivers.contract import Device, SequenceResult
from drivers.errors import BusError, InterlockError
from labctl.bus.connection import Connection
from labctl.bus.messages import DELEGATED, Request
from labctl.bus.roles import LOCAL_USER, Caller
from labctl.safety.emission import Emission, Server
from labctl.safety.guard import Guard
from labctl.safety.laser_rules import Ramp, set_point
from labctl.safety.notices import Notices
from labctl.safety.observer import Observer
from labctl.safety.peers import TELL_WITHIN_S, Peers
from labctl.safety.people import PEOPLES_VERBS, People
from labctl.safety.record import Record, Trip
from labctl.safety.sources import Remote
from labctl.safety.watches import Passed
from labctl.safety.wiring import guarded_by, home_of, sources_of, watches_of

if TYPE_CHECKING:
    from labctl.bench.config import BenchConfig

log = logging.getLogger(__name__)

_LOOK_WITHIN_S = 30.0
VERBS = (*PEOPLES_VERBS, "observed", "tripped", "noted", "look", "lit", "seen")


class Interlocks:
    """Of one server.

    connect: a connection to the control lane of another server, by name. now_ns, pause: bench time, and waiting.
    """

    def __init__(
        self,
        server: Server,
        config: BenchConfig,
        connect: Callable[[str], Connection],
        now_ns: Callable[[], int],
        pause: Callable[[float], None],
    ) -> None:
        self._server = server
        self._config = config
        self._virtual = config.clock == "virtual"
        mine = set(config.servers[server.name])
        self._set_points = {name: set_point(config.devices[name]) for name in mine}
        self._peers = Peers([name for name in config.servers if name != server.name], connect)
        self._notices = Notices(self._peers)
        self._lit_elsewhere = False
        self.observer = Observer(
            server.name, watches_of(config, mine, self._set_points), server.devices, server.parts, server.lock, now_ns,
            virtual=self._virtual, tell=self._seen,
        )  # fmt: skip
        self._connect = connect
        self._remotes: dict[str, Remote] = {}
        guarded = guarded_by(config, mine)
        self.record = Record(None) if self._virtual or not guarded else Record.of(config.name, server.name)
        self.guard: Guard | None = None
        ramps = {g: i.rule for i in guarded.values() if isinstance(i.rule, Ramp) for g in i.guards}
        self._emission = Emission(
            server, config.devices, self._set_points, ramps, self.observer, self._notices, pause, self._changes,
            virtual=self._virtual,
        )  # fmt: skip
        if guarded:
            sources = sources_of(config, guarded, mine, self.observer, self._remotes, self._remote)
            self.guard = Guard(
                config.name, guarded, sources, self.record, now_ns, virtual=self._virtual,
                power_w=self._emission.power_w, act=self._act, darken=server.make_safe, run_of=self._run_of,
            )  # fmt: skip
        self._people = People(self.guard, self._notices, config.interlocks)
        everywhere = {home_of(config, guard) for interlock in config.interlocks.values() for guard in interlock.guards}
        self._guards_elsewhere = sorted(everywhere - {server.name})
        # Those whose light depends on what is seen here.
        watched_by = {home_of(config, g) for name, _ in self.observer.watches for g in config.interlocks[name].guards}
        self._tells = sorted(watched_by - {server.name})
        self._news = threading.Event()
        self._stop = threading.Event()
        self._teller = threading.Thread(target=self._tell_on, name=f"labctl-teller-{server.name}", daemon=True)

    def _remote(self, server: str) -> Remote:
        return Remote(server, self._connect(server), virtual=self._virtual)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch."""
        self._peers.start()
        self.record.start()
        self.observer.start()
        if self._tells and not self._virtual:
            self._teller.start()
        for remote in self._remotes.values():
            remote.start()
        if self.guard is not None:
            self.guard.start()

    def stop(self) -> None:
        """End all threads."""
        if self.guard is not None:
            self.guard.stop()
        for remote in self._remotes.values():
            remote.stop()
        self.observer.stop()
        self._stop.set()
        self._news.set()
        if self._teller.is_alive():
            self._teller.join(2 * TELL_WITHIN_S)
        self.record.stop()
        self._peers.close()

    # --- calls, under the server's lock -----------------------------------------------------------------------------

    def before(self, request: Request) -> None:
        """Raise InterlockError if the caller does not know yet that an interlock turned its light off."""
        if self._notices and not (request.verb == "set" and not request.arguments):
            self._notices.raise_for(request.lease)

    def renewed(self, request: Request) -> None:
        """The same for who only renews, on the control lane, where other servers are not waited for."""
        if self._notices:
            self._notices.raise_for(request.lease, wait=False)

    def after(self, request: Request, value: Any) -> None:
        """Look at what a call brought. Raises InterlockError if an interlock turned the light off meanwhile."""
        readout = ""
        if isinstance(value, SequenceResult):
            positional, named = request.arguments
            readout = str(named.get("readout", positional[2] if len(positional) > 2 else "camera"))
        said = self.observer.passed(Passed(request.device, request.verb, request.name, value, readout))
        if self._virtual:
            if not request.flags & DELEGATED:
                self._look_in_virtual_time()
        elif said:
            self._seen()
        if self._notices:
            self._notices.raise_for(request.lease)

    def failed(self, request: Request, error: BaseException) -> None:
        """A call failed. Raises InterlockError in its place if an interlock turned the light off meanwhile."""
        if isinstance(error, InterlockError):
            return
        self.observer.failed(request.device, error)
        try:
            self._notices.raise_for(request.lease)
        except InterlockError as told:
            raise told from error

    def _seen(self) -> None:
        """Something new is known of a watched device: guards here look at once, those of other servers are told."""
        if self._tells:
            self._news.set()
        if self.guard is not None and self.guard.lit():
            self.guard.look()

    def _tell_on(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            if self._stop.is_set():
                return
            for name in self._tells if self.observer.wanted else ():
                self._peers.ask(name, "seen", [self._server.name, self._report()])

    def _report(self) -> list[Any]:
        return [[name, device, msgspec.to_builtins(seen)] for name, device, seen in self.observer.report()]

    def _look_in_virtual_time(self) -> None:
        """After a call, and before its answer, so that what is found does not depend on the machine's time."""
        lit = self.guard is not None and self.guard.lit()
        if lit or self._lit_elsewhere:
            self.observer.ask_due()
        if self.guard is not None:
            for remote in self._remotes.values() if lit else ():
                remote.refresh()
            self.guard.look()
        if self._lit_elsewhere:
            mine = self._server.name
            answers = [self._peers.ask(name, "look", mine, timeout_s=_LOOK_WITHIN_S) for name in self._guards_elsewhere]
            self._lit_elsewhere = any(answers)

    def _look_for(self, server: str) -> bool:
        """Another server has just served a call, and holds its lock; whether there is light here."""
        if self.guard is None or not self.guard.lit():
            return False
        if self._virtual:
            self.observer.ask_between_calls()
            for name, remote in self._remotes.items():
                if name == server:
                    remote.learn()
                else:
                    remote.refresh()
        self.guard.look()
        return self.guard.lit()

    def _changes(self) -> None:
        """Light comes on, or changes: in virtual time whoever watches is to look after the call that comes next."""
        self.observer.hurry()
        if self._virtual:
            self._peers.tell("lit", None)

    # --- what is told to emitters -----------------------------------------------------------------------------------

    def write(self, device: Device, name: str, value: Any, lease: str, makes_light: bool) -> None:
        """Write a setting, under the server's lock. Raises InterlockError if light is refused, or comes to nothing."""
        if self.guard is None:
            setattr(device, name, value)
        else:
            self._emission.write(self.guard, device, name, value, lease, makes_light)

    def darkening(self, device: str) -> None:
        """An emitter is about to be told to be dark; from any thread."""
        self.observer.told(device, "emission", False)

    def dark(self, device: str) -> None:
        """It was told, and says that it is; from any thread."""
        if self.guard is not None:
            self.guard.gone(device)

    # --- sessions ---------------------------------------------------------------------------------------------------

    def begin(self, devices: Sequence[str]) -> None:
        """A session begins on devices, which have the settings of the bench file."""
        settings = {name: self._config.devices[name].settings for name in devices}
        self.observer.begin(settings)
        for name in devices:
            self._emission.begin(name, settings[name])
        if self.guard is not None:
            self.guard.begin(devices)

    def end(self, devices: Sequence[str]) -> None:
        """Control of them was given back in order."""
        if self.guard is not None:
            self.guard.end(devices)

    def thawed(self) -> None:
        """A table goes on from a frozen one: its panels show what they showed; what lasers were told is not known."""
        self.observer.thawed()
        for name in self._config.servers[self._server.name]:
            self._emission.begin(name, {})

    def _run_of(self, devices: Sequence[str]) -> str:
        return next((lease.run for lease in self._server.book.leases_on(devices) if lease.run), "")

    # --- acting -----------------------------------------------------------------------------------------------------

    def _act(self, trip: Trip, text: str) -> None:
        """Light out; then everybody is told: who is in control at the next call, the other servers at once."""
        tokens = [lease.token for lease in self._server.book.leases_on(trip.guards)]
        self._notices.add(tokens, trip.interlock, text)
        tripped = [msgspec.to_builtins(trip), tokens, text, time.monotonic_ns(), self._server.name]
        # In virtual time the others know before the call that is being served is answered, on any machine.
        (self._peers.tell if self._virtual else self._peers.tell_at_once)("tripped", tripped)
        begun = time.monotonic()
        self._server.make_safe(trip.guards)
        took_ms = 1e3 * (time.monotonic() - begun)
        log.error("%s (dark after %.1f ms)", text, took_ms, extra={"run": trip.run, "device": trip.device})
        self._stop_playing(tokens)

    def _tripped(self, arguments: Any) -> None:
        """Another server's interlock acted."""
        told, tokens, text, at_ns, by = arguments
        trip = msgspec.convert(told, Trip)
        if self._notices.is_past(trip.interlock, at_ns):
            return
        self._notices.add([str(token) for token in tokens], trip.interlock, str(text), str(by))
        if self.guard is not None and trip.rule != "armed":
            mine = self.guard.guards_of(trip.interlock)
            if mine and not self.guard.is_tripped(trip.interlock):
                self.guard.take(trip)
                # Not here: leases are renewed on this lane, and a device that hangs is waited for.
                threading.Thread(target=self._server.make_safe, args=(mine,), daemon=True).start()
        self._stop_playing(tokens)

    def _stop_playing(self, tokens: Iterable[str]) -> None:
        """A sequence that is being played in the dark ends now; what it measured is not returned."""
        held = {name for token in tokens for name in self._server.book.devices_of(token)}
        playing = [d.name for d in list(self._server.devices.values()) if d.composite and d.name in held]
        if playing and self._server.lock.locked():
            self._server.make_safe(playing)

    # --- the control lane -------------------------------------------------------------------------------------------

    def handle(self, request: Request, caller: Caller) -> Any:
        """Answer one of `VERBS`."""
        if request.verb in PEOPLES_VERBS:
            return self._people.handle(request.verb, request.arguments, caller)
        if caller is not LOCAL_USER:
            raise BusError(f"{request.verb} is between servers of the bench")
        match request.verb:
            case "observed":
                return self._observed(request.name, request.arguments)
            case "tripped":
                return self._tripped(request.arguments)
            case "noted":
                token, interlock = request.arguments
                return self._notices.noted(str(token), str(interlock))
            case "look":
                return self._look_for(str(request.arguments))
            case "seen":
                server, report = request.arguments
                if server in self._remotes:
                    self._remotes[server].take(report)
                return self.guard is not None and self.guard.lit() and self.guard.look()
            case "lit":
                self._lit_elsewhere = True
                return self.observer.hurry()
        raise BusError(f"unknown verb {request.verb!r}")

    def _observed(self, how: str, interlocks: Any) -> list[Any]:
        if how == "forget":
            self.observer.forget([str(name) for name in interlocks])
        else:
            self.observer.want()
        if how == "fresh":
            self.observer.ask_between_calls()
        return self._report()

    def disarm(self, arguments: Any, caller: Caller) -> list[str]:
        """Disarm emitters of this server; which were armed."""
        return self._people.disarm(arguments, caller)

    def status(self) -> list[dict[str, Any]]:
        """Every interlock that guards something here."""
        return self._people.status()
