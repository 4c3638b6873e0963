"""The thermodynamic computer's board: what is hidden in it, what units do, how a run is stopped and repeated."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.contract import ComputerStage, DeviceError, LimitError
from simulators.clock import VirtualClock
from simulators.devices.thermodynamic_computer import SimulatedThermodynamicComputer
from simulators.physics.langevin.potential import moments
from simulators.worlds.thermodynamic import ThermodynamicParameters, ThermodynamicWorld
from simulators.worlds.thermodynamic.truth import board_truth, couplings_on_board, crossed

UNITS = 48


def computer(**given: Any) -> SimulatedThermodynamicComputer:
    """On a board of its own, in virtual time."""
    world = ThermodynamicWorld(ThermodynamicParameters.model_validate({"units": UNITS} | given), VirtualClock())
    world.begin("test")
    made = SimulatedThermodynamicComputer("computer", world)
    made.open()
    return made


def stage(
    biases: float | NDArray[np.float64] = 0.0, J: NDArray[np.float64] | None = None, **given: Any
) -> ComputerStage:
    """One unit of time, read at its end."""
    return ComputerStage(
        **{
            "duration": 1.0,
            "couplings": np.zeros((UNITS, UNITS)) if J is None else J,
            "biases": np.full(UNITS, biases) if np.isscalar(biases) else biases,
            "read_at": np.array([1.0]),
        }
        | given
    )


def test_a_board_as_planned_is_at_the_temperature_of_its_units() -> None:
    """<x^2> by quadrature, but for the step's bias of 1 % (sheet): 19,200 readings, false alarm below 1e-6."""
    made = computer(hidden="none", noise=False)
    made.program([stage()])
    x = made.run(400).readings.astype(float)
    assert (x**2).mean() == pytest.approx(moments(10.0, 10.0, 0.0)[1], rel=0.06)


def test_differences_of_units_have_the_spread_that_is_stated() -> None:
    """Of 4,096 units, to 10 % (false alarm below 1e-9)."""
    truth = board_truth(ThermodynamicParameters(units=4096))
    assert truth.temperature.std() == pytest.approx(0.05, rel=0.1)
    assert truth.mobility.std() == pytest.approx(0.05, rel=0.1)
    assert truth.quadratic.std() == pytest.approx(0.03, rel=0.1)
    assert truth.coupling_gain[0, 1:].std() == pytest.approx(0.03, rel=0.1)
    np.testing.assert_array_equal(truth.coupling_gain, truth.coupling_gain.T)


def test_another_seed_is_another_board_and_the_same_is_the_same() -> None:
    one, two = (board_truth(ThermodynamicParameters(units=8, seed=seed)) for seed in (1, 2))
    again = board_truth(ThermodynamicParameters(units=8, seed=1))
    assert np.all(one.mobility != two.mobility)
    np.testing.assert_array_equal(one.mobility, again.mobility)


def test_a_line_reaches_its_neighbours() -> None:
    np.testing.assert_allclose(crossed(np.array([0.0, 1.0, 0.0, 0.0]), 0.1), [0.1, 1.0, 0.1, 0.0])
    p = ThermodynamicParameters(units=6, hidden={"preset": "none", "crosstalk": 0.1})
    J = np.zeros((6, 6))
    J[0, 3] = J[3, 0] = 1.0
    felt = couplings_on_board(p, J)
    assert felt[0, 3] == pytest.approx(1.0)
    assert felt[1, 3] == pytest.approx(0.1)
    assert felt[1, 4] == pytest.approx(0.01)
    np.testing.assert_array_equal(felt, felt.T)


def test_gains_drift_with_time() -> None:
    """0.1 % an hour."""
    p = ThermodynamicParameters(units=4, elapsed="10 h", hidden={"preset": "none", "drift_per_hour": 0.001})
    J = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], float)
    assert couplings_on_board(p, J)[0, 1] == pytest.approx(1.01)


def test_a_run_depends_on_its_number_and_not_on_what_is_run_beside_it() -> None:
    """Noise by address: repeats of a run are the same whatever their number is; another run is another one."""
    quiet = [computer(noise=False) for _ in range(2)]
    for made in quiet:
        made.program([stage()])
    np.testing.assert_array_equal(quiet[0].run(3).readings, quiet[1].run(300).readings[:3])
    assert np.all((quiet[0].run(3).readings != quiet[1].run(6).readings[3:]).any(axis=(1, 2)))


def test_times_are_those_of_the_circuit() -> None:
    made = computer()
    before_ns = made._world.clock.now_ns()
    made.program([stage(), stage(read_at=np.array([0.25, 0.5, 1.0]))])
    programmed_s = (made._world.clock.now_ns() - before_ns) / 1e9
    assert programmed_s == pytest.approx(2 * (UNITS * (UNITS - 1) / 2 + 2 * UNITS) * 2e-8)
    assert made.repeat_s == pytest.approx(1e-6 + 2 * 1e-6 + 4 * 1e-6)
    run = made.run(1000)
    assert (run.end_ns - run.start_ns) / 1e9 == pytest.approx(1000 * made.repeat_s)
    assert made._world.clock.now_ns() == run.end_ns


def test_a_run_that_is_stopped_is_an_error_and_its_program_kept() -> None:
    made = computer(units=UNITS, step=1e-4)
    made.program([stage(duration=50.0, read_at=np.array([50.0]))])

    def stop() -> None:
        time.sleep(0.3)
        made.safe()

    other = threading.Thread(target=stop)
    other.start()
    with pytest.raises(DeviceError, match=r"stopped after .* of 100000 repeats"):
        made.run(100_000)
    other.join()
    assert len(made.programmed()) == 1


def test_units_that_the_board_makes_unstable_are_an_error() -> None:
    """Linear ones that are barely stable by the plan; the board's couplings are larger by a tenth."""
    made = computer(units=2, hidden={"preset": "none", "drift_per_hour": 0.1}, elapsed="1 h", step=0.01)
    made.quartic = 0.0
    made.coupling_range = 16.0
    J = np.array([[0.0, 15.9], [15.9, 0.0]])
    made.quadratic = 8.0
    made.program([ComputerStage(duration=100.0, couplings=J, biases=np.zeros(2), read_at=np.array([100.0]))])
    with pytest.raises(DeviceError, match="left every bound"):
        made.run(1)


def test_a_program_for_another_board_is_refused_by_name() -> None:
    made = computer()
    with pytest.raises(LimitError, match=r"computer\.program: .*this computer has 48 units"):
        made.program([ComputerStage(duration=1.0, couplings=np.zeros((3, 3)), biases=np.zeros(3), read_at=np.zeros(0))])


def test_a_converter_of_one_bit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bits at least"):
        ThermodynamicParameters.model_validate({"converters": {"reading_bits": 1}})


def test_more_readings_than_memory_are_refused() -> None:
    made = computer()
    made.program([stage(read_at=np.linspace(0, 1, 1000))])
    with pytest.raises(LimitError, match="fewer repeats"):
        made.run(10_000_000)
