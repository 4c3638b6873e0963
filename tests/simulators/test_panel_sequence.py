"""Sequences on a panel: large ones, whose phases are looked up for each pattern, show what small ones and writes do."""

from __future__ import annotations

import numpy as np
import pytest
from prbm_table import parameters

from simulators.worlds.parts import panel as module
from simulators.worlds.parts.gray_table import TiledGrayTable
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.parameters import SlmParameters
from simulators.worlds.prbm.truth import hidden_table
from simulators.worlds.second_panel import OnePanel

SLM = SlmParameters.model_validate({"rows": 24, "columns": 40})
TABLE = TiledGrayTable(OnePanel(SLM), hidden_table(parameters(hidden="typical")).panel)
RNG = np.random.default_rng(3)
BASE = RNG.integers(0, 256, (24, 40)).astype(np.uint8)
PATCHES = RNG.integers(0, 256, (5, 6, 8)).astype(np.uint8)
ORIGINS = np.array([[2, 3], [2, 3], [4, 5], [15, 20], [2, 3]], np.int32)
"""The second and the last lie on the first, the third overlaps them, the fourth is by itself."""
PATTERNS = [[0], [1], [2, 3], [3], [4], []]
STEP_NS = 1_000_000_000


def shown(monkeypatch: pytest.MonkeyPatch, most: int) -> list[np.ndarray]:
    monkeypatch.setattr(module, "MOST_AT_ONCE", most)
    panel = Panel(SLM, TABLE)
    panel.load(BASE, (0, 0), PATCHES, ORIGINS)
    images = []
    for k, wanted in enumerate(PATTERNS):
        panel.step(np.array(wanted, np.int32), k * STEP_NS)
        images.append(panel.phase_image(k + 0.03))  # in motion
        panel.rest(k + 0.9)
        images.append(panel.phase_image(k + 0.9))
    return images


def test_phases_that_are_looked_up_for_each_pattern_are_those_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    np.testing.assert_array_equal(shown(monkeypatch, 0), shown(monkeypatch, 1 << 20))


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_patterns_that_follow_one_another_show_base_and_patches_alone(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    for image, wanted in zip(shown(monkeypatch, most)[1::2], PATTERNS, strict=True):
        gray = BASE.copy()
        for k in wanted:
            r, c = ORIGINS[k]
            gray[r : r + 6, c : c + 8] = PATCHES[k]
        np.testing.assert_allclose(image, TABLE.phases(gray, 0, 0), atol=SLM.settled_phase)
