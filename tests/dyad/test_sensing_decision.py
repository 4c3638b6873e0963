"""Whether p_1 has changed: false alarms as often as stated, detections as often as predicted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from labctl.client import CalibrationError
from protocols.dyad.sensing.decision import (
    Response,
    detected,
    follow,
    likeliest_drift,
    pump_equivalent,
    scores,
    shift_between,
    slopes,
    smallest_shift,
    threshold,
)
from protocols.dyad.sensing.detection import SLOPE_MISREAD, Blocks, findings, judge, slope_misread
from protocols.dyad.sensing.parameters import SenseParameters

Array = NDArray[np.float64]


def walked(rng: np.random.Generator, blocks: int, n: int, drift: float) -> Array:
    """p_1 (blocks, n) that starts near one half and walks."""
    steps = rng.normal(0, math.sqrt(drift), (blocks, n))
    steps[0] = rng.normal(0, 0.02, n)
    return np.asarray(0.5 + steps.cumsum(axis=0))


@pytest.mark.parametrize("drift", [0.0, 1e-4])
def test_undisturbed_dyads_alarm_as_often_as_stated(drift: float) -> None:
    """40,000 decisions at 1 %: within 5 standard errors, and 10 % for counts being whole. False alarm below 1e-6."""
    rng = np.random.default_rng(1)
    p = walked(rng, 40, 1000, drift)
    trials = np.full(40, 400.0)
    references = rng.binomial(400, p).astype(float)
    at, _ = follow(references, trials, drift)
    z = scores(rng.binomial(200, p + rng.normal(0, math.sqrt(drift), p.shape)), 200.0, at.p, at.variance + drift)
    rate = (np.abs(z) > threshold(0.01)).mean()
    assert abs(rate - 0.01) < 5 * math.sqrt(0.01 * 0.99 / z.size) + 0.001


def test_a_lattice_alarms_as_often_as_stated_however_many_dyads_it_has() -> None:
    """Of 4,000 lattices of 100 dyads, 5 %. False alarm 1e-5: 4.4 standard errors."""
    z = np.random.default_rng(2).normal(size=(4000, 100))
    rate = (np.abs(z).max(axis=1) > threshold(0.05, 100)).mean()
    assert abs(rate - 0.05) < 4.4 * math.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("drift", [1e-5, 3e-4])
def test_how_fast_p1_drifts_is_found(drift: float) -> None:
    rng = np.random.default_rng(3)
    walks = [walked(rng, 60, 100, drift) for _ in range(2)]
    series = [(rng.binomial(500, p).astype(float), np.full(60, 500.0)) for p in walks]
    assert drift / 1.6 < likeliest_drift(series) < 1.6 * drift


def test_no_drift_is_found_where_there_is_none() -> None:
    rng = np.random.default_rng(4)
    ones = rng.binomial(500, walked(rng, 60, 100, 0.0)).astype(float)
    assert likeliest_drift([(ones, np.full(60, 500.0))]) < 3e-6


def test_a_reference_averages_all_blocks_of_a_dyad_that_does_not_drift() -> None:
    ones = np.array([[50.0], [60.0], [40.0], [70.0]])
    at, _ = follow(ones, np.full(4, 100.0), 0.0)
    assert at.p[-1, 0] == pytest.approx(0.55, abs=0.005)
    assert at.variance[-1, 0] == pytest.approx(0.25 / 400, rel=0.03)


@pytest.mark.parametrize(("shift", "trials"), [(0.01, 200), (0.02, 100), (-0.015, 400)])
def test_disturbances_are_detected_as_often_as_predicted(shift: float, trials: int) -> None:
    """20,000 decisions: 1.5 % for the normal approximation of whole counts, and 4.4 standard errors."""
    rng = np.random.default_rng(5)
    response, variance, bound = Response(0.47, 18.0), 0.25 / 3000, threshold(0.05, 100)
    reference = rng.normal(0.47, math.sqrt(variance), 20_000)
    counts = rng.binomial(trials, float(response.at(shift)), 20_000)
    share = (np.abs(scores(counts, float(trials), reference, np.array(variance))) > bound).mean()
    assert share == pytest.approx(float(detected(response, shift, trials, variance, bound)), abs=0.03)


def test_the_smallest_shift_is_detected_in_95_percent() -> None:
    response = Response(0.52, 18.0)
    small = smallest_shift(response, 400, 1e-4, 3.5)
    assert max(detected(response, s, 400, 1e-4, 3.5) for s in (small, -small)) == pytest.approx(0.95, abs=1e-6)
    assert small < smallest_shift(response, 100, 1e-4, 3.5)


def test_what_no_shift_can_show_is_infinitely_large() -> None:
    assert smallest_shift(Response(0.5, 18.0), 20, 0.1, 5.0) == math.inf


def test_slopes_and_shifts_are_those_of_the_curve() -> None:
    response, trials = Response(0.5, 18.0), 1e7
    x = np.array([-0.03, -0.01, 0.02])
    slope, error = slopes(x, trials * response.at(x)[:, None], np.full(3, trials), 0.0)
    assert slope[0] == pytest.approx(18.0, rel=1e-4)
    assert error[0] < 0.02
    shift, _, told = shift_between(0.5, 0.0, trials * response.at(np.array([0.013, 0.5])), np.full(2, trials), 18.0)
    assert shift[0] == pytest.approx(0.013, rel=1e-3)
    assert told.tolist() == [True, False]


def test_slopes_are_as_uncertain_as_is_said() -> None:
    """2,000 dyads whose ratios are set with an error: scatter within 10 % of what is stated (6 standard errors)."""
    rng, x, trials = np.random.default_rng(8), 0.01 * np.arange(-3, 4), np.full(7, 200.0)
    p = Response(0.5, 18.0).at(x[:, None] + rng.normal(0, 0.003, (7, 2000)))
    found, error = slopes(x, rng.binomial(200, p).astype(float), trials, 0.003)
    assert np.std((found - 18.0) / error) == pytest.approx(1.0, abs=0.1)


def test_the_pump_that_undoes_a_change_of_g_is_that_of_equation_5() -> None:
    assert pump_equivalent(0.4, 0.45) == pytest.approx(0.25078, abs=1e-5)  # sheet, Fig. 1b


# --- a whole run ----------------------------------------------------------------------------------------------------

P = SenseParameters(probe_w=(0.005, 0.01), trials=(50, 200), repeats=30)


def blocks(per_w: float, seed: int, n: int = 20) -> tuple[Blocks, tuple[Array, Array, Array]]:
    """Counts of n fair dyads of slope 18, of which number 7 is shifted in proportion to the probe's power."""
    rng = np.random.default_rng(seed)
    levels = (0.0, *P.probe_w)
    p = np.full((P.repeats, len(levels), n), 0.5)
    for k, power in enumerate(levels):
        p[:, k, 7] = Response(0.5, 18.0).at(per_w * power)
    first = rng.binomial(P.trials[0], p)
    ones = np.stack([first, first + rng.binomial(P.trials[1] - P.trials[0], p)], axis=2).astype(float)
    taken = np.broadcast_to(np.array(P.trials, float), ones.shape[:3])
    x = np.array([-0.02, 0.0, 0.02])
    curve = rng.binomial(1500, np.repeat(Response(0.5, 18.0).at(x)[:, None], n, axis=1)).astype(float)
    part = np.repeat([0, 1], P.repeats // 2)  # as if it had been resumed
    return (
        Blocks(rng.binomial(1000, 0.5, (P.repeats, n)).astype(float), np.full(P.repeats, 1000.0), ones, taken, part),
        (x, curve, np.full(3, 1500.0)),
    )


def test_a_disturbance_is_found_located_and_measured() -> None:
    counted, curve = blocks(per_w=2.0, seed=6)
    judged = judge(counted)
    v = findings(counted, judged, P, curve, 0.55, (4, 5))
    assert v["target"] == [1, 2]
    # 2.0 per W of ln r_gamma is 2.0 x 0.5 / 0.444 of g; four standard errors.
    assert abs(v["dg_per_w"] - 2.0 * 0.5 / pump_equivalent(0.5, 0.55)) < 4 * v["dg_per_w_err"]
    assert SLOPE_MISREAD < v["dg_per_w_err"] / v["dg_per_w"] < 1.15 * SLOPE_MISREAD
    np.testing.assert_allclose(v["detection"], v["predicted"], atol=4 * 0.5 / math.sqrt(P.repeats))
    assert v["detection"][1][1] > 0.9
    assert v["located"][1][1] == 1.0
    assert v["dyad_detection"][0][1] >= v["detection"][0][1]
    assert abs(v["false_alarm_away"]) < 4
    assert abs(v["dyad_false_alarm_away"]) < 4
    assert abs(math.log(v["scale"])) < 4 * v["scale_err"] / v["scale"]


def test_slopes_that_scatter_beyond_counting_are_misread_by_that() -> None:
    """Of 100 dyads, a robust spread is known to 12 %: three times that."""
    rng = np.random.default_rng(8)
    error = np.full(100, 1.0)
    slope = 20 * np.exp(rng.normal(0, 0.5, 100)) + rng.normal(0, 1, 100)
    assert slope_misread(slope, error) == pytest.approx(0.5, rel=0.36)
    assert slope_misread(20 + rng.normal(0, 1, 100), error) == SLOPE_MISREAD
    assert slope_misread(np.array([20.0, 0.5]), error[:2]) == SLOPE_MISREAD


def test_a_probe_that_moves_no_dyad_is_told() -> None:
    counted, _ = blocks(per_w=0.0, seed=7)
    with pytest.raises(CalibrationError, match="moves no dyad"):
        judge(counted)


@pytest.mark.parametrize(
    "given", [{"trials": (100, 50)}, {"probe_w": ()}, {"probe_w": (-1e-3,)}, {"false_alarm": 0.7}, {"mode": "find"}]
)
def test_parameters_that_cannot_be_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SenseParameters.model_validate(given)
