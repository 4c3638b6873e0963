"""Langevin computers on the bench: images by a simulated board through the bus, and training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError, LimitError, open_bench
from labctl.experiments.execute import execute
from protocols.langevin.computer import BoardComputer, Stage
from simulators.physics.langevin.potential import Units

SIDE, HIDDEN = 6, 24
UNITS = SIDE**2 + HIDDEN
BOARD = {"world.units": UNITS}
SMALL = {"size": SIDE, "hidden": HIDDEN, "duration": 1.0, "dt": 2e-3, "amplitude": 60}


@pytest.fixture
def bars(tmp_path: Path) -> str:
    images = np.zeros((2, SIDE, SIDE))
    images[0, 2:4] = 1
    images[1, :, 2:4] = 1
    path = tmp_path / "bars.npy"
    np.save(path, images)
    return str(path)


def values(out: Path, what: str, **given: object) -> dict[str, Any]:
    return execute("labctl.protocols", f"langevin.{what}", None, {**BOARD, **given}, seed=4, out=out).values  # type: ignore[arg-type]


def test_a_board_with_differences_of_its_own_makes_the_images_it_was_programmed_for(tmp_path: Path, bars: str) -> None:
    model = values(tmp_path, "train", data=bars, **SMALL)["model"]
    made = values(tmp_path, "generate", model=model, trajectories=100, readings=2, loop="device")
    assert made["correlation"] > 0.85  # by the equations 0.9; guessing gives 0.2
    assert made["smallest_share"] > 0.2
    assert 0 < made["bench_s"] < 0.1  # a microsecond for a unit of time, two readings, 100 repeats


def test_couplings_that_were_trained_on_the_board_make_its_images(tmp_path: Path, bars: str) -> None:
    model = values(tmp_path, "train", data=bars, noising="measured", repeats=100, **SMALL)["model"]
    made = values(tmp_path, "generate", model=model, trajectories=100, readings=2, loop="device")
    assert made["correlation"] > 0.85
    assert made["smallest_share"] > 0.2


def test_a_board_of_another_size_is_refused_with_the_cure(tmp_path: Path, bars: str) -> None:
    model = values(tmp_path, "train", data=bars, **SMALL)["model"]
    with pytest.raises(ConfigurationError, match=r"world\.units=60"):
        execute("labctl.protocols", "langevin.generate", None,
                {"world.units": 50, "model": model, "loop": "device"}, out=tmp_path)  # fmt: skip


def test_couplings_beyond_the_boards_range_are_refused() -> None:
    J = np.zeros((4, 4))
    J[0, 1] = J[1, 0] = 1000.0
    with open_bench("langevin-sim", {"world.units": 4}) as bench, bench.control("test"):
        computer = BoardComputer(bench, Units.of(4))
        with pytest.raises(LimitError, match="coupling_range"):
            computer.run([Stage(0.1, J, np.zeros(4), (0.1,))], 1)
        with pytest.raises(LimitError, match="bias"):
            computer.run([Stage(0.1, None, np.full(4, 1e4), (0.1,))], 1)
