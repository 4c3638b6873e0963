"""A server's devices as a record has them: each request is answered as it was, in order, and no other is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from drivers.errors import ReplayError
from labctl.bus.failures import error_of
from labctl.bus.messages import Request
from labctl.bus.values import revive
from labctl.record import wire
from labctl.record.divergence import first_difference
from labctl.record.record import ANSWERED, OF_SERVER, Record, Track, call_text, fits

_Key = tuple[str, str]


class Replay:
    """Of one device server.

    publish: tells the streams what a device measured. renew: of a request, its lease. calibrations_folder: where this
    bench keeps what is calibrated on it. clock: whether bench time is the record's.
    """

    def __init__(
        self,
        publish: Callable[[str, Any], None],
        renew: Callable[[Request], None],
        calibrations_folder: str,
        *,
        clock: bool = True,
    ) -> None:
        self._publish = publish
        self._renew = renew
        self._calibrations_folder = calibrations_folder
        self._clock = clock
        self._served: dict[str, tuple[Record, str]] = {}
        self._lock = threading.Lock()
        self._tracks: dict[_Key, Track] = {}
        self._used: dict[tuple[str, int], int] = {}
        self._next: dict[tuple[_Key, str], int] = {}
        self._now_ns = 0
        self._place: dict[tuple[Record, str], int] = {}
        """How far a server's part of a record is, to find what time it was."""

    def add(self, device: str, record: Record, run: str) -> None:
        """A device that is answered from ``record``. run: the recorded run whose client is followed; "" for any."""
        self._served[device] = record, run

    def time_ns(self) -> int:
        """Bench time at the end of the last request that was answered."""
        return self._now_ns

    def serve(self, lane: str, request: Request, handler: Callable[[], Any]) -> Any:
        """Answer from the record what it has answers to; the rest is for ``handler``. ReplayError where they differ."""
        if lane == "control" and request.verb == "time" and self._clock:
            return self._time()
        if lane != "calls":
            return handler()
        if request.device in self._served and request.verb in ANSWERED:
            self._renew(request)
            with self._lock:
                value = self._answered(request, *self._served[request.device])
                self._publish(request.device, revive(value))
                return value
        if not request.device and request.verb in OF_SERVER and self._served:
            return self._of_server(request, handler)
        return handler()

    def _of_server(self, request: Request, handler: Callable[[], Any]) -> Any:
        with self._lock:
            value = self._answered(request, *next(iter(self._served.values())))
        if request.verb == "acquire":
            return handler()
        if request.verb == "calibrations" and isinstance(value, Mapping):
            return {**value, "folder": self._calibrations_folder}
        return value

    # --- following the record -----------------------------------------------------------------------------------------

    def _answered(self, request: Request, record: Record, run: str) -> Any:
        header, arrays = wire.packed(wire.kept_arguments(request))
        digests = [wire.digest(data) for data in arrays]
        server = record.server_of.get(request.device) or next(iter(record.entries), "")
        key = request.session, f"{record.path}:{server}"
        if key not in self._tracks:
            self._tracks[key] = self._track(record, server, run, request, header, digests)
        track = self._tracks[key]
        entries = track.by_device.get(request.device, [])
        place = self._next.get((key, request.device), 0)
        what, whose = call_text(request.device, request.verb, request.name), request.device or "the server"
        if place >= len(entries):
            why = record.ended.get(server, "whoever recorded it was killed")
            raise ReplayError(
                f"replay of {record.path}: asked {what}, and the record has no more of {whose} after {place} requests "
                f"of this client ({why}); record a longer session"
            )
        entry = entries[place]
        if not fits(entry, request.verb, request.name, header, digests):
            then = call_text(entry.device, entry.verb, entry.name if entry.verb != "acquire" else "")
            difference = ""
            if (entry.verb, entry.name) == (request.verb, request.name):
                difference = "; " + first_difference(record.asked(entry), wire.kept_arguments(request))
            raise ReplayError(
                f"replay of {record.path}, request {place + 1} of {whose}: recorded {then}, "
                f"asked {what}{difference}. The same is answered only to the same: protocol, parameters, seed and code "
                f"as they were (recorded with {record.made_with()})"
            )
        self._next[key, request.device] = place + 1
        self._now_ns = entry.ended_ns
        self._place[record, server] = max(self._place.get((record, server), 0), entry.number)
        reply = record.answer(entry)
        if reply.failure is not None:
            raise error_of(reply.failure)
        return reply.value

    def _track(
        self, record: Record, server: str, run: str, request: Request, header: bytes, digests: list[bytes]
    ) -> Track:
        """Which recorded client a client is: one that was followed least, and asked the same first."""
        tracks = [t for t in record.tracks if t.server == server and (not run or t.run == run)]
        if not tracks:
            told = f"; it has {', '.join(record.runs)}" if run else ""
            raise ReplayError(
                f"replay of {record.path}: nobody asked server {server!r}{f' for run {run}' if run else ''}{told}"
            )
        same = []
        for track in tracks:
            first = track.by_device.get(request.device)
            if first and fits(first[0], request.verb, request.name, header, digests):
                same.append(track)
        chosen = min(same or tracks, key=lambda t: self._used.get((t.server, t.session), 0))
        self._used[chosen.server, chosen.session] = self._used.get((chosen.server, chosen.session), 0) + 1
        return chosen

    def _time(self) -> int:
        """As it was told at this place of the record, if it was asked there; else that of the last answer."""
        followed = {(track.server, track.session) for track in self._tracks.values()}
        for record in dict.fromkeys(record for record, _ in self._served.values()):
            for server, entries in record.entries.items():
                # Between what was answered last of this server and what comes next, other clients may have been served.
                for place in range(self._place.get((record, server), 0), len(entries)):
                    entry = entries[place]
                    if entry.lane == "control" and entry.verb == "time":
                        self._place[record, server] = place + 1
                        reply = record.answer(entry)
                        return self._now_ns if reply.failure is not None else int(reply.value)
                    answered = entry.lane == "calls" and entry.verb in ANSWERED | OF_SERVER
                    if answered and (server, entry.session) in followed:
                        break
        return self._now_ns
