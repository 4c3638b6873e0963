"""Frozen tables that are not as they were frozen: refused, or gone on with, whatever numbers are in them.

In a process of its own: compiled code that is led astray would take this one with it.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spoiling import with_another_part

from drivers.errors import LabError
from drivers.frozen import freeze, thaw

# As many as take half a minute at most: what a table computes after each differs much.
MANY = {"prbm": 300, "hologram": 200, "condensates": 50, "multiplier": 100, "sheet": 100, "cells": 50}
TRIALS = [
    pytest.param("prbm", 20, id="prbm"),
    *(pytest.param(kind, count, id=f"{kind}-many", marks=pytest.mark.soak) for kind, count in MANY.items()),
]
_ODD = (0, 1, -1, 2**31, 2**63 - 1, -(2**63), 1e300, float("nan"), float("inf"), None, "text", [], {}, True)


def odd(value: Any, dice: random.Random) -> Any:
    """The value with one part, or some numbers of one array, replaced."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.size and dice.random() < 0.9:
        changed = value.copy().reshape(-1)
        with np.errstate(all="ignore"):
            for _ in range(dice.randint(1, 3)):
                number = dice.choice([n for n in _ODD if isinstance(n, (int, float))])
                kind = changed.dtype.kind
                if kind in "biu" and (number != number or number in (float("inf"), 1e300)):
                    number = 2**31
                changed[dice.randrange(changed.size)] = np.asarray(number).astype(changed.dtype)
        return changed.reshape(value.shape)
    if isinstance(value, dict) and value and dice.random() < 0.95:
        key = dice.choice(list(value))
        return {**value, key: odd(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], odd(value[at], dice), *value[at + 1 :]]
    return with_another_part(value, dice, dice.choice(_ODD))


def respelt(frozen: Any, dice: random.Random) -> Any:
    """A frozen bench with something else in its world or in its devices."""
    told = thaw(frozen)
    if dice.random() < 0.5:
        return freeze({**told, "world": freeze(odd(thaw(told["world"]), dice))})
    name = dice.choice(list(told["servers"]))
    return freeze({**told, "servers": {**told["servers"], name: freeze(odd(thaw(told["servers"][name]), dice))}})


def attack(kind: str, count: int) -> None:
    """In its own process: thaw, look, and thaw what is sound in the end."""
    sys.path.append(str(Path(__file__).parents[1] / "simulators"))
    from test_freezing import BENCHES, act, lit

    from labctl.client import open_bench

    name, overrides, roi = BENCHES[kind]
    dice = random.Random(7)
    refused = 0
    with open_bench(name, overrides, own=True) as bench, bench.control():
        lit(bench, roi)
        sound = bench.freeze()
        assert sound is not None
        for _ in range(count):
            with np.errstate(all="ignore"):
                try:
                    bench.thaw(respelt(sound, dice))
                    act(bench, 2)
                except LabError:
                    refused += 1
        bench.thaw(sound)
        act(bench, 2)
    print(f"{kind}: {refused} of {count} refused")  # noqa: T201


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kind", "count"), TRIALS)
def test_a_table_frozen_with_other_numbers_is_refused_or_goes_on(kind: str, count: int) -> None:
    command = [sys.executable, "-W", "ignore", __file__, kind, str(count)]
    folder = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, cwd=folder, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-3000:])


if __name__ == "__main__":
    attack(sys.argv[1], int(sys.argv[2]))
