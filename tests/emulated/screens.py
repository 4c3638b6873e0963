"""A small table whose panel is a screen, and what is on both."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from simulators.clock import RealClock
from simulators.emulators.screen import Screen
from simulators.worlds.prbm import PrbmParameters, PrbmWorld

ROWS, COLUMNS = 24, 48


class BlankTable:
    """A table of which nothing is asked but a panel's size, and that takes every pattern."""

    def __init__(self, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self.parameters = SimpleNamespace(slm=SimpleNamespace(rows=rows, columns=columns, pitch=8e-6))
        self.state = np.zeros(1, np.dtype([("stop", np.uint8, (16,))]))
        self.clock = RealClock()

    def attach(self, device: str, what: str) -> int:
        return 0

    def write(self, gray: NDArray[np.uint8], row: int, column: int, at_ns: int = 0) -> int:
        return 0


def small_world() -> PrbmWorld:
    """A table whose panel is as small as it can be, in real time."""
    parameters = PrbmParameters.model_validate(
        {
            "slm": {"rows": ROWS, "columns": COLUMNS},
            "optics": {"first_row": 3, "bands": 6},
            "camera": {"rows": 200, "columns": 300, "axis_row": 90, "axis_column": 140},
        }
    )
    world = PrbmWorld(parameters, PrbmWorld.clock_of_kind("real"))
    world.write(np.ones((2, 2), np.uint8), 0, 0)  # compiles what is compiled
    world.write(np.zeros((2, 2), np.uint8), 0, 0)
    return world


def gray_on_panel(world: PrbmWorld) -> NDArray[np.float64]:
    """Levels, exact to a rounding error of the phases that the panel keeps."""
    levels: NDArray[np.float64] = world.panel.phase * (256 / (2 * np.pi))
    assert np.abs(levels - np.rint(levels)).max() < 1e-9
    return np.rint(levels)


def arrives(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether a condition becomes true."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def pattern(seed: int, shape: tuple[int, int] = (ROWS, COLUMNS)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def shown(emulator: Screen) -> NDArray[np.uint8]:
    """What the X server has in its frame buffer, asked without the driver's code or library."""
    client = emulator._hand
    assert client is not None
    place = client.panel(second=True)
    assert place is not None
    green = client.green(place)
    assert green is not None
    return green


def elsewhere(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python program in another process."""
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(root), str(root / "tests" / "emulated")))},
    )
