"""Mode "shot": what its arithmetic gives back, and four condensates that are seeded, coupled for a gate, and seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from condensates_small import FOUR, WEIGHTS, OnBench, fields, set_up_on
from scipy.linalg import expm

from labctl.client import CalibrationError, ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.problem.networks import clique_network
from protocols.domino.table.condensates.shot import beside
from protocols.domino.table.condensates.shot_setup import grown
from protocols.domino.table.condensates.sites import largest_couplings
from protocols.domino.table.loop import run_through
from protocols.domino.table.modes import stages_on, windows_of
from protocols.domino.table.response import Response
from simulators.physics.domino.locked_flow import Stage

BENCH = "benches/domino-shot.toml"


@pytest.fixture(scope="module")
def lit() -> Iterator[OnBench]:
    with set_up_on(BENCH) as found:
        yield found


def test_a_solve_by_shots_tells_its_mode_its_bench_time_and_why_it_falls_short(tmp_path: Path) -> None:
    given = {**FOUR, "loop": "table", "nodes": 4, "starts": 4, "duration": 1}
    outcome = execute("labctl.figures", "domino.solve", BENCH, given, seed=3, out=tmp_path)
    v = outcome.values
    assert (v["mode"], v["loop"], v["unlocked"], v["lost_frames"]) == ("shot", "table", 0, 0)
    assert outcome.bench_seconds == v["bench_s"] > 2 * 100 * 4 * 0.126  # two frames of each start in every window
    assert 0 <= v["success_errorless"] <= 1
    assert "couplings act for" in v["why"]
    assert "light without errors" in v["why"]


def test_couplings_are_told_from_own_light_whatever_power_and_phase_a_play_had() -> None:
    rng = np.random.default_rng(1)
    W = clique_network(6, 0.6, rng)
    own = rng.random(6) + 1j * rng.random(6) + 1
    level = 0.5 + 0.5 * rng.random(6)
    K = np.eye(6, dtype=np.complex128) + 0.02 * (rng.normal(size=(6, 6)) + 1j * rng.normal(size=(6, 6)))
    background = 0.1 * (rng.normal(size=6) + 1j * rng.normal(size=6))
    M = own[:, None] * (K @ expm(0.08 * W)) / level
    common = 1.04 * np.exp(0.7j)
    found = grown(Response(common * M, common * background * own, np.zeros(6), 0.0), own, level, K)
    np.testing.assert_allclose(found.G, 0.08 * W, atol=1e-12)
    np.testing.assert_allclose(found.background, background, atol=1e-12)


def test_a_play_has_one_brightness_and_its_frames_phases_of_their_own() -> None:
    rng = np.random.default_rng(2)
    expected = rng.normal(size=(5, 30)) + 1j * rng.normal(size=(5, 30))
    turned = np.exp(2j * np.pi * rng.random(30))
    phase, each, bright = beside(0.8 * turned * expected, expected)
    np.testing.assert_allclose(phase, turned, rtol=1e-12)
    np.testing.assert_allclose(each, 0.8, rtol=1e-12)
    assert bright == pytest.approx(0.8)


def test_couplings_are_as_large_as_the_faintest_macro_pixel_allows() -> None:
    gain = np.full((4, 4), 0.1 + 0j)
    gain[0, 2] = 0.04j
    wanted, T = largest_couplings(WEIGHTS, gain, 0.9)
    np.testing.assert_allclose(T * gain, wanted, atol=1e-15)
    np.testing.assert_allclose(wanted, 0.9 * 0.04 * WEIGHTS / 0.7)
    assert np.abs(T).max() == pytest.approx(0.9)
    with pytest.raises(
        CalibrationError, match=r"condensate 2 hardly reaches condensate 0 \(5\.0% of what is typical\)"
    ):
        largest_couplings(WEIGHTS, np.where(gain == 0.04j, 0.005, gain), 0.9)


def test_windows_last_as_long_as_the_run_that_was_planned_and_are_then_read() -> None:
    planned = (Stage(500, 0.02, 5, (0.5, 0.5)), Stage(300, 0.005, 1, (0.5, 0.5), 100))
    assert stages_on(planned, None, 0) == planned
    (stage,) = stages_on(planned, 0.08, windows_of(planned, 0.08))
    assert (stage.steps, stage.h, stage.every, stage.read) == (125 + 100, 0.08, 1, 100)


def test_couplings_of_a_node_to_itself_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.clq"
    path.write_text("p edge 3 2\nn 1 2\nn 2 3\nn 3 1\ne 1 2\ne 2 3\n")
    with pytest.raises(ConfigurationError, match="coupling to itself is not told from its own light"):
        execute(
            "labctl.figures",
            "domino.solve",
            BENCH,
            {"loop": "table", "graph": str(path), "weights": "node"},
            out=tmp_path,
        )


def test_change_in_a_window_is_what_couplings_make_of_seeds(lit: OnBench) -> None:
    psi = fields(40, 3)
    seen = lit.table.measure(psi)
    assert seen.came.all()
    assert seen.locked.all()
    wanted = lit.table.exact(psi)
    np.testing.assert_allclose(
        wanted, (expm(WEIGHTS * lit.found.values["window"]) - np.eye(4)) @ psi / lit.found.values["window"], rtol=1e-12
    )
    assert np.sqrt((np.abs(seen.v.real - wanted) ** 2).mean() / (np.abs(wanted) ** 2).mean()) < 0.35
    assert lit.found.residual < 0.25
    np.testing.assert_allclose(seen.total, psi.sum(axis=0), rtol=0.15)


def test_couplings_add_less_than_a_fifth_to_the_light_of_a_shot(lit: OnBench) -> None:
    """They act for 0.1 t0, and it decays for 1."""
    assert 0.02 < lit.found.values["added_by_couplings"] < 0.2
    assert 0.05 < lit.found.values["window"] < 0.12


def test_seeds_whose_phases_are_not_kept_are_told(lit: OnBench) -> None:
    lit.table.jitter_rad = 1.2
    try:
        astray = lit.table.measure(fields(30, 4))
    finally:
        lit.table.jitter_rad = 0.0
    assert (~astray.locked).mean() > 0.5
    assert lit.table.measure(fields(30, 4)).locked.all()


def test_shots_without_a_reference_unlock_every_start(lit: OnBench) -> None:
    lit.bench.reference.emission = False
    try:
        ended = run_through(fields(4, 5).real, (Stage(22, 0.08, 1, (0.5, 0.5), 5),), 1, lit.table)
    finally:
        lit.bench.reference.emission = True
    assert ended.unlocked.all()
