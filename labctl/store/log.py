"""Which calibration is in force: an append-only log, one small file per decision, named by its time and its hash."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.errors import CalibrationError

FILE_NAME = re.compile(r"(\d{20})-([0-9a-f]{32})\.json")


@dataclass(frozen=True, kw_only=True)
class Use:
    """One decision: from ``utc_ns`` on, ``id`` is in force for this bench, role and kind, or none if it is ""."""

    bench: str
    role: str
    kind: str
    id: str
    who: str
    utc_ns: int
    note: str = ""

    @property
    def at(self) -> datetime:
        """When, UTC."""
        return datetime.fromtimestamp(self.utc_ns / 1e9, UTC)


def whoever_asks() -> str:
    """User and machine, as a use is signed with."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now_ns() -> int:
    """UTC."""
    return time.time_ns()


def encode(use: Use) -> tuple[str, bytes]:
    """File name and content."""
    table = {
        "bench": use.bench,
        "role": use.role,
        "kind": use.kind,
        "id": use.id,
        "who": use.who,
        "utc_ns": use.utc_ns,
        "note": use.note,
    }
    data = json.dumps(table, sort_keys=True, ensure_ascii=False).encode()
    return f"{use.utc_ns:020d}-{hashlib.sha256(data).hexdigest()[:32]}.json", data


def decode(name: str, data: bytes, where: str) -> Use:
    """The use in a file. Raises CalibrationError if it was truncated or edited."""
    matched = FILE_NAME.fullmatch(name)
    if matched is None or hashlib.sha256(data).hexdigest()[:32] != matched[2]:
        raise CalibrationError(
            f"{where} is not what was stored: it was truncated or edited, so it is not known which calibration is in "
            "force. Restore it from a backup, or take it out of the folder and say `labctl calibrations use ID` again"
        )
    try:
        return Use(**json.loads(data))
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{where} is no entry of labctl's log ({error}); take it out of the folder") from None
