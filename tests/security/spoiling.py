"""Files as they come from a bad disk, an unfinished copy or a bad will, and what reading them may take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SOME, MANY = 1, 15
AMOUNTS = [pytest.param(SOME, id="some"), pytest.param(MANY, id="many", marks=pytest.mark.soak)]
"""By what the number of examples is multiplied."""

MOST_MEMORY_MB = 300.0


def fuzz(strategy: st.SearchStrategy[Any], examples: int, act: Callable[[Any], None]) -> None:
    """Try ``act`` on as many examples, always the same ones; the smallest one that fails is told."""

    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    @seed(11)
    @given(strategy)
    def trial(example: Any) -> None:
        act(example)

    trial()


class Spoilt(bytes):
    """Bytes that are told by what was done to them."""

    edits: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, {self.edits}>"


@st.composite
def spoilt(draw: st.DrawFn, sound: bytes, first_bytes: int = 1 << 30, *, used: bool = False) -> Spoilt:
    """``sound`` with some of its first bytes changed, cut off, doubled, or put in another place; used: where there is
    something but zeros."""
    data = bytearray(sound)
    reach = min(len(data), first_bytes) - 1
    places = st.integers(0, reach)
    if used:
        places = st.sampled_from([k for k in range(reach + 1) if data[k]])
    edits = []
    for _ in range(draw(st.integers(1, 6))):
        how = draw(st.sampled_from(["bit", "byte", "byte", "word", "cut", "move"]))
        at = min(draw(places), max(len(data) - 1, 0))
        if not data:
            break
        what: object = None
        if how == "bit":
            what = draw(st.integers(0, 7))
            data[at] ^= 1 << what
        elif how == "byte":
            data[at] = what = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x5B, 0x7B, 0x22]))
        elif how == "word":
            what = draw(st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\0\0\0\0\0\0\0\x40", b"\xff" * 7 + b"\x7f"]))
            data[at : at + 8] = what
        elif how == "cut":
            what = draw(st.sampled_from([1, 8, 64, 4096, len(data)]))
            del data[at : at + what]
        else:
            what = draw(st.integers(1, 64))
            data[at:at] = data[max(at - what, 0) : at]
        edits.append((how, at, what))
    made = Spoilt(data)
    made.edits = tuple(edits)
    return made


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=12)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
"""Whatever JSON or msgpack can hold."""


def with_another_part(told: Any, dice: random.Random, other: Any) -> Any:
    """The same nesting of lists and dicts with one part, anywhere in it, replaced, or taken away."""
    inside = list(told) if isinstance(told, dict) else range(len(told)) if isinstance(told, list) else []
    if not inside or dice.random() < 0.1:
        return other
    key = dice.choice(list(inside))
    changed = dict(told) if isinstance(told, dict) else list(told)
    if dice.random() < 0.25:
        del changed[key]
    elif dice.random() < 0.4:
        changed[key] = other
    else:
        changed[key] = with_another_part(changed[key], dice, other)
    return changed


class Memory:
    """How much this process's memory has risen at most since it was looked at first."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        self._before = self._peak_mb()

    @staticmethod
    def _peak_mb() -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3

    @property
    def grown_mb(self) -> float:
        return self._peak_mb() - self._before


def unique(folder: Path, suffix: str) -> Path:
    """A path that nothing has yet."""
    return folder / f"{time.monotonic_ns()}{suffix}"
