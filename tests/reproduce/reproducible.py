"""A made-up paper and its figures, registered like a third party's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweepable import registered

from labctl.client import Bench, CalibrationError, Compared, Figure, Paper, Parameters, Recorder, Reproduction

_POINTS = """
[labctl.figures]
t.coin = reproducible:Coin
t.broken = reproducible:Broken
t.after = reproducible:After

[labctl.papers]
t = reproducible:PAPER
"""


class CoinParameters(Parameters):
    tosses: int = 1000
    wait_s: float = 0.0


class Coin(Figure):
    """Tosses of a fair coin. Tells on disk that it was here."""

    Parameters = CoinParameters

    def targets(self, parameters: CoinParameters) -> dict[str, dict[str, float]] | None:
        return {"ones": {"min": 0.3, "max": 0.7}}

    def run(self, bench: Bench, parameters: CoinParameters, record: Recorder) -> dict[str, Any]:
        if tally := os.environ.get("REPRODUCIBLE_TALLY"):
            with Path(tally).open("a") as file:
                file.write(f"{parameters.tosses} {record.seed}\n")
        time.sleep(parameters.wait_s)
        tosses = record.rng.random(parameters.tosses) < 0.5
        record.save("tosses", tosses.astype(np.int8))
        return {"ones": float(tosses.mean()), "ones_err": 0.5 / parameters.tosses**0.5, "pair": [0.0, 2.0]}


class Broken(Figure):
    """Cannot be measured."""

    def run(self, bench: Bench, parameters: Parameters, record: Recorder) -> dict[str, Any]:
        raise CalibrationError("nothing <b>to see</b>")


class AfterParameters(Parameters):
    run: str


class After(Figure):
    """Reads the run file of another figure."""

    Parameters = AfterParameters

    def run(self, bench: Bench, parameters: AfterParameters, record: Recorder) -> dict[str, Any]:
        return {"size": Path(parameters.run).stat().st_size}


PAPER = Paper(
    "t",
    "A. Author",
    "On coins",
    "J. Coins 1",
    (
        Reproduction(
            "t.coin",
            "Fig. 1",
            (
                Compared("ones", 0.5, 0.001, within=0.0, label="share of ones"),
                Compared("pair[1]", 2.0, by="theory", within=0.0),
                Compared("pair[0]", why="nobody knows"),
            ),
            given={"tosses": 4000},
            quick={"tosses": 500},
            cost_s=(2, 1),
        ),
        Reproduction("t.coin", "Fig. 2", (Compared("ones", 0.9, within=0.1),), name="t.wrong", note="It is not fair."),
        Reproduction("t.coin", "Fig. 3", (Compared("ones", 0.5, within=0.0),), repeats=(4, 3), name="t.repeated"),
        Reproduction("t.broken", "Fig. 4"),
        Reproduction("t.after", "Fig. 5", (Compared("size"),), first={"run": ("t.coin", {"tosses": 10})}),
    ),
)


@contextmanager
def installed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The paper is registered, for this process and its children."""
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    own = [str(folder), *(str(Path(__file__).parent.with_name(name)) for name in ("reproduce", "sweep"))]
    patch.setenv("PYTHONPATH", os.pathsep.join([*before, *own]))
    with registered(folder, patch, "reproducible", _POINTS):
        yield
