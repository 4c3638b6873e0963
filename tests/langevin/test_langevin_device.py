"""Langevin computers on the bench: images by a simulated board through the bus, and training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError, LimitError, open_bench, open_run
from labctl.experiments.execute import execute, resume
from protocols.langevin.computer import BoardComputer, Stage
from protocols.langevin.model import Trained
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.training import train_now
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


def test_heat_on_a_board_is_that_of_the_equations_and_noise_of_readings_is_left_out(tmp_path: Path, bars: str) -> None:
    # Steps of 1e-3 and continuous converters, as the equations have them; false alarm 1e-6.
    plain = {"data": bars, "trajectories": 256, **SMALL, "dt": 1e-3}
    as_planned = {"world.hidden": "none", "world.converters.coupling_bits": 0, "world.converters.reading_noise": 0.1}
    ideal, board = (
        execute("labctl.figures", "langevin.heat", None, {**BOARD, **as_planned, **plain, "loop": loop}, seed=4,
                out=tmp_path).values
        for loop in ("ideal", "device")
    )  # fmt: skip
    assert board["read_noise"] == pytest.approx(0.1, rel=0.02)
    err = float(np.hypot(ideal["heat_err"], board["heat_err"]))
    assert abs(board["heat"] - ideal["heat"]) < 4.9 * err
    assert board["heat_of_noise"] < -5 * err  # it would be seen if it were left in
    assert board["beyond"] == 0
    assert board["bench_s"] > 0


def test_a_run_in_situ_that_is_resumed_keeps_its_couplings_and_has_other_noise(
    tmp_path: Path, bars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**BOARD, "data": bars, "noising": "measured", "repeats": 20, "loop": "device", "trajectories": 600}
    run, calls = BoardComputer.run, [0]

    def stop(self: BoardComputer, *args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 6:  # two of training, three of denoising
            raise KeyboardInterrupt
        return run(self, *args)

    with monkeypatch.context() as here:
        here.setattr(BoardComputer, "run", stop)
        with pytest.raises(KeyboardInterrupt):
            execute("labctl.figures", "langevin.heat", None, {**given, **SMALL}, seed=4, out=tmp_path)  # type: ignore[arg-type]
    (model,), (path,) = tmp_path.glob("*-model.npz"), tmp_path.glob("*.h5")
    before = Trained.load(model).J
    resume(path)
    np.testing.assert_array_equal(Trained.load(model).J, before)
    with open_run(path) as file:
        x = np.asarray(file["steps/x"])
    assert len(x) == 5
    flat = x.reshape(len(x), -1)
    # 128 trajectories of 36 units, read twice, about their mean: chance correlation 0.01.
    alike = np.corrcoef(flat - flat.reshape(-1, 72).mean(axis=0)[None].repeat(128, 0).ravel())
    assert np.abs(alike - np.eye(5)).max() < 0.3


def test_couplings_of_few_levels_are_the_boards_own(tmp_path: Path, bars: str) -> None:
    trained = train_now(TrainParameters(data=bars, coupling_bits=3, noising="averaged", **SMALL), 0)
    with open_bench("langevin-sim", {**BOARD, "world.converters.coupling_bits": 3}) as bench, bench.control("test"):
        computer = BoardComputer(bench, trained.units)
        computer.run([Stage(0.1, trained.J, trained.b, (0.1,))], 1)
        kept = computer.programmed[0].couplings
    assert kept is not None
    np.testing.assert_allclose(kept, trained.J, rtol=1e-5)


def test_training_in_situ_needs_the_bench(tmp_path: Path, bars: str) -> None:
    with pytest.raises(ConfigurationError, match="loop=device"):
        execute("labctl.figures", "langevin.heat", None, {"data": bars, "noising": "measured", **SMALL}, out=tmp_path)


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
