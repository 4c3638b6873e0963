"""A record as it is read: what was asked by whom, in order, and the arrays that it names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from drivers.contract import DeviceDescription
from drivers.errors import ConfigurationError
from labctl.bus.messages import Reply
from labctl.record import wire
from labctl.record.blocks import ArrayPlace, Body, Entry, read_body, read_heads

_KEPT_BODIES_BYTES = 512 << 20
ANSWERED = frozenset(("get", "set", "call", "identity", "snapshot"))
"""Verbs of a device that are answered from a record; the others change nothing, or make safe what is not there."""
OF_SERVER = frozenset(("acquire", "calibrations", "calibration"))


class Track:
    """What one client asked one server, by device ("" for the server itself). run: of its first lease."""

    def __init__(self, server: str, session: int) -> None:
        self.server = server
        self.session = session
        self.run = ""
        self.by_device: dict[str, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """In the order in which they were answered."""
        if entry.verb == "acquire":
            self.run = self.run or entry.name
        self.by_device.setdefault(entry.device, []).append(entry)


class Record:
    """A record of bus traffic. Raises ConfigurationError if the file is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about: dict[str, Any] = {}
        """Of the bench: name, texts of its file, settings, versions."""
        self.devices: dict[str, DeviceDescription] = {}
        self.server_of: dict[str, str] = {}
        self.entries: dict[str, list[Entry]] = {}
        """By server, in order."""
        self.ended: dict[str, str] = {}
        """Why no more of a server came; nothing of one that was killed."""
        self._bodies: list[Body] = []
        self._places: dict[bytes, tuple[int, ArrayPlace]] = {}
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()
        for head, body in read_heads(path):
            if not head.server:
                self.about |= head.about
            try:
                described = msgspec.convert(
                    head.about.get("devices", ()) if head.server else (), list[DeviceDescription]
                )
            except msgspec.ValidationError as error:
                raise ConfigurationError(f"{path} tells of devices what no labctl tells: {error}") from None
            for description in described:
                self.devices[description.name] = description
                self.server_of[description.name] = head.server
            self.entries.setdefault(head.server, []).extend(head.entries)
            if head.ended:
                self.ended[head.server] = head.ended
            for place in head.arrays:
                self._places[place.digest] = len(self._bodies), place
            self._bodies.append(body)
        self.entries.pop("", None)

    @cached_property
    def tracks(self) -> list[Track]:
        """What can be answered, by server and client, in the order in which clients came."""
        found: dict[tuple[str, int], Track] = {}
        for server, entries in self.entries.items():
            generation, before = 0, 0
            for entry in entries:
                if entry.number < before:  # the server was started again, and counts clients anew
                    generation += 1
                before = entry.number
                if entry.lane != "calls" or entry.verb not in (ANSWERED if entry.device else OF_SERVER):
                    continue
                key = server, entry.session + (generation << 32)
                found.setdefault(key, Track(*key)).add(entry)
        return list(found.values())

    @property
    def runs(self) -> list[str]:
        """Names of the runs that were recorded, in order."""
        return list(dict.fromkeys(track.run for track in self.tracks if track.run))

    def asked(self, entry: Entry) -> Any:
        """Arguments of a request."""
        return wire.unpacked(entry.asked, [self.array(name) for name in entry.asked_arrays]).value

    def answer(self, entry: Entry) -> Reply:
        """What a request was answered."""
        return wire.unpacked(entry.answer, [self.array(name) for name in entry.answer_arrays])

    def array(self, name: bytes) -> bytes:
        """The bytes of an array. ConfigurationError if the record has lost them."""
        if name not in self._places:
            raise ConfigurationError(f"{self.path}: an array is missing, as a block of the record is spoilt or cut off")
        index, place = self._places[name]
        if index in self._unpacked:
            self._unpacked.move_to_end(index)
        else:
            self._unpacked[index] = read_body(self.path, self._bodies[index])
            while len(self._unpacked) > 1 and sum(map(len, self._unpacked.values())) > _KEPT_BODIES_BYTES:
                self._unpacked.popitem(last=False)
        return self._unpacked[index][place.offset : place.offset + place.size]

    def made_with(self) -> str:
        """Versions, for messages."""
        found = [self.about.get(key) for key in ("versions", "git")]
        versions, git = (told if isinstance(told, dict) else {} for told in found)
        commit = f", commit {str(git['commit'])[:12]}" if git.get("commit") else ""
        return f"labctl {versions.get('labctl', 'of unknown version')}{commit}"


def call_text(device: str, verb: str, name: str) -> str:
    """A request as people write it."""
    whole = f"{device or 'server'}.{name or verb}"
    return {"get": f"reading {whole}", "set": f"setting {whole}", "call": f"{whole}(…)"}.get(verb, f"{whole} ({verb})")


def fits(entry: Entry, verb: str, name: str, header: bytes, digests: Sequence[bytes]) -> bool:
    """Whether a request is the one that was recorded, arrays by their digests. Of control, which is taken of one server
    or several, by whomever, it is only asked whether it was taken."""
    if entry.verb == verb == "acquire":
        return True
    same = (entry.verb, entry.name, entry.asked) == (verb, name, header)
    return same and entry.asked_arrays == list(digests)
