"""The page that tells what each driver does under each fault: written from what was found, and read to compare."""

from __future__ import annotations

import re
from pathlib import Path

from fault_bench import OPEN_S, TIMEOUT_S, drivers, kind_of
from fault_meaning import FAULTS, NO_MEANING, OF_A_SCREEN, UNSEEN, why_not
from fault_trials import RECOVERS_WITHIN

PAGE = Path(__file__).parents[2] / "docs" / "devices" / "faults.md"

Found = dict[tuple[str, str, str], str]
"""Outcomes by situation, driver and fault."""

NO = "–"

_HEAD = f"""# Faults

What every driver does when its instrument fails, on emulated instruments: no hardware was seen. Each fault of the
instrument is tried with each driver (`tests/faults`, run by `make hil`), which compares what it finds with this page;
`pytest -m hil tests/faults --write-faults` writes it anew.

Whatever fails, a call ends within the driver's timeout ({TIMEOUT_S:g} s there) and one second, in a right value or in
an error of the contract that names the device; only the window of an SLM that is a screen has a longer timeout for
being opened, `open_within` ({OPEN_S:g} s there). When the fault has ended the same object works again with right values
after at most {RECOVERS_WITHIN} calls that fail, and after none in most cells.
"""

_SITUATIONS = {
    "idle": f"""## A fault strikes an idle device
Every setting is then read and written, every operation called.

- error: what cannot be done is an error, and what is returned is right; all works again when the fault has ended.
- works: everything goes on, with right values.
- told: the values themselves say so (`saturated`).
- unseen: the driver cannot know, for the reason below; all is right again when the fault has ended.
- {NO}: no meaning, see below.

Another firmware answers from that moment on, but that of `aravis_gige` from the next start of the camera: what it does
there is in the next table.
""",
    "open": """## A fault is there when a device is closed and opened
Closing ends in time whatever fails. Opening:

- refused: `open` raises, and the device stays closed; it opens once the fault has ended.
- opens: it opens.

A laser that somebody left on, such as a process that was killed, is dark afterwards even if `open` is refused, unless
the line is dead: then it is dark as soon as it can be opened (or, where there is a watchdog, by that).
""",
    "lit": """## A fault strikes while a laser emits
What ends the light:

- instrument: the laser itself, at once.
- driver: `safe()`, which the device server calls when the lease lapses; also while no answer comes back.
- watchdog: `safe()` says that it could not turn the light off; the laser's own watchdog does, seconds later.
- reconnection: `safe()` says that it could not turn the light off, and **the light stays on** until the line is back:
  these lasers have no watchdog. The first call that reaches them turns it off before all else. Only the hardware
  interlock is quicker.

Where nobody calls `safe()` and the fault ends, the light may still be on; `emission` then says so.
""",
}


def columns(situation: str) -> tuple[tuple[str, ...], ...]:
    """Faults of each table of a situation."""
    return (FAULTS,) if situation == "lit" else (FAULTS, OF_A_SCREEN)


def page(found: Found) -> str:
    """In Markdown."""
    parts = [_HEAD]
    for situation, text in _SITUATIONS.items():
        parts.append(text)
        parts += [_table(found, situation, faults) for faults in columns(situation)]
    parts.append("## No meaning\n")
    parts.append("".join(f"- {_of(who)}, {fault}: {why}.\n" for (who, fault), why in NO_MEANING.items()))
    parts.append("## Unseen\n")
    parts.append("".join(f"- `{who}`, {fault}: {why}.\n" for (who, fault), why in UNSEEN.items()))
    return "\n".join(parts)


def _table(found: Found, situation: str, faults: tuple[str, ...]) -> str:
    rows = []
    for driver in drivers():
        if not any((situation, driver, fault) in found for fault in faults):
            continue
        row = [NO if why_not(driver, fault) else found.get((situation, driver, fault), "?") for fault in faults]
        rows.append(f"| `{driver}` | {' | '.join(row)} |\n")
    return f"| driver | {' | '.join(faults)} |\n| --- |{' --- |' * len(faults)}\n{''.join(rows)}"


def _of(who: str) -> str:
    return f"every {who}" if who not in drivers() else f"`{who}` ({kind_of(who)})"


class Ledger:
    """What is found, compared with the page; or, if it ``writes``, put into it."""

    def __init__(self, writes: bool) -> None:
        self._writes = writes
        self._found = read_page()

    def note(self, situation: str, driver: str, fault: str, outcome: str) -> None:
        """One cell of a table. AssertionError if the page says otherwise."""
        key = (situation, driver, fault)
        said = self._found.get(key)
        self._found[key] = outcome
        assert self._writes or said == outcome, f"{driver}, {fault}, {situation}: {outcome}; the page says {said}"

    def finish(self) -> None:
        """Write the page, if that is wanted."""
        if self._writes:
            PAGE.write_text(page(self._found), encoding="utf-8")


def read_page() -> Found:
    """What the committed page says."""
    found: Found = {}
    if not PAGE.exists():
        return found
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for situation, text in _SITUATIONS.items():
        heading = text.splitlines()[0].removeprefix("## ")
        body = next((s for s in sections if s.startswith(heading)), "")
        faults: list[str] = []
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
            if cells and cells[0] == "driver":
                faults = cells[1:]
            elif cells and cells[0].startswith("`"):
                driver = cells[0].strip("`")
                found |= {(situation, driver, f): c for f, c in zip(faults, cells[1:], strict=True) if c != NO}
    return found
