"""Which calibration is in force, and whether it was found to hold: append-only logs of small files.

One file per decision (`Use`) and one per check (`Verdict`), each named by its time and its hash.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drivers.errors import CalibrationError
from labctl.store.calibration import Check

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found at ``utc_ns`` of a calibration in force: whether it still holds, and by which numbers.

    It counts until the next check, or until somebody puts the calibration in force anew. run: the check's run file.
    """

    bench: str
    role: str
    kind: str
    id: str
    holds: bool
    checks: tuple[Check, ...]
    who: str
    utc_ns: int
    run: str = ""

    @property
    def at(self) -> datetime:
        """When, UTC."""
        return datetime.fromtimestamp(self.utc_ns / 1e9, UTC)

    @property
    def why(self) -> str:
        """The checks that failed, in words; "" if it holds."""
        return "; ".join(str(check) for check in self.checks if not check.passed)


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
    return _encoded(use.utc_ns, table)


def encode_verdict(verdict: Verdict) -> tuple[str, bytes]:
    """File name and content."""
    return _encoded(verdict.utc_ns, verdict_table(verdict))


def verdict_table(verdict: Verdict) -> dict[str, Any]:
    """A verdict in JSON's types."""
    return {
        "bench": verdict.bench,
        "role": verdict.role,
        "kind": verdict.kind,
        "id": verdict.id,
        "holds": verdict.holds,
        "checks": checks_table(verdict.checks),
        "who": verdict.who,
        "utc_ns": verdict.utc_ns,
        "run": verdict.run,
    }


def verdict_of(table: Mapping[str, Any]) -> Verdict:
    """The verdict of such a table. TypeError, KeyError or ValueError if it is none."""
    return Verdict(**{**table, "checks": tuple(Check(**check) for check in table["checks"])})


def checks_table(checks: tuple[Check, ...]) -> list[dict[str, Any]]:
    """Checks in JSON's types."""
    return [
        {"name": c.name, "value": float(c.value), "unit": c.unit, "low": float(c.low), "high": float(c.high)}
        for c in checks
    ]


def decode(name: str, data: bytes, where: str) -> Use:
    """The use in a file. Raises CalibrationError if it was truncated or edited."""
    table = _decoded(name, data, where, "which calibration is in force", "say `labctl calibrations use ID` again")
    try:
        return Use(**table)
    except TypeError as error:
        raise CalibrationError(f"{where} is no entry of labctl's log ({error}); take it out of the folder") from None


def decode_verdict(name: str, data: bytes, where: str) -> Verdict:
    """The verdict in a file. Raises CalibrationError if it was truncated or edited."""
    table = _decoded(name, data, where, "whether a calibration holds", "say `labctl calibrate --check` again")
    try:
        return verdict_of(table)
    except (TypeError, KeyError, ValueError) as error:
        raise CalibrationError(f"{where} is no entry of labctl's log ({error}); take it out of the folder") from None


def _encoded(utc_ns: int, table: Mapping[str, Any]) -> tuple[str, bytes]:
    data = json.dumps(table, sort_keys=True, ensure_ascii=False).encode()
    return f"{utc_ns:020d}-{hashlib.sha256(data).hexdigest()[:32]}.json", data


def _decoded(name: str, data: bytes, where: str, unknown: str, then: str) -> dict[str, Any]:
    matched = FILE_NAME.fullmatch(name)
    if matched is None or hashlib.sha256(data).hexdigest()[:32] != matched[2]:
        raise CalibrationError(
            f"{where} is not what was stored: it was truncated or edited, so it is not known {unknown}. Restore it "
            f"from a backup, or take it out of the folder and {then}"
        )
    try:
        table = json.loads(data)
        return dict(table)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{where} is no entry of labctl's log ({error}); take it out of the folder") from None
