"""Fields of macro-pixels under fringing fields: the compiled pass is the plain road."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics.macro_fields import PHASORS, fields_plainly, in_turns, macro_fields, pixel_weights


@pytest.mark.parametrize(
    ("crosstalk_px", "macro"),
    [((0.15, 0.19), (2, 8)), ((0.0, 0.0), (2, 2)), ((0.3, 0.1), (1, 4)), ((0.1, 0.3), (3, 1))],
)
def test_compiled_fields_are_those_of_the_plain_road(crosstalk_px: tuple[float, float], macro: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows, columns = 6 * macro[0], 9 * macro[1]
    phase = rng.uniform(-20, 20, (rows, columns))
    carrier = rng.uniform(0, 6, (rows, columns))
    out = np.empty((6, 9), np.complex128)
    phasors = np.exp(-1j * carrier).astype(np.complex64)
    macro_fields(in_turns(phase), phasors, *pixel_weights(crosstalk_px), *macro, PHASORS, out)
    # The table's steps are 8e-4 rad, rounded to half of that at most.
    assert np.abs(out - fields_plainly(phase, carrier, crosstalk_px, *macro)).max() < 4e-4


def test_without_fringing_fields_a_macro_pixel_has_the_mean_of_its_phasors() -> None:
    phase = np.array([[0.1, 2.0, 0.3, 1.0]])
    found = fields_plainly(phase, np.zeros_like(phase), (0.0, 0.0), 1, 2)
    assert np.allclose(found, np.exp(1j * phase).reshape(1, 2, 2).mean(axis=2))


def test_a_binary_grating_of_depth_pi_leaks_by_fringing_fields() -> None:
    # Levels 0 and pi next to one another pass through pi / 2, so that light stays on the axis (optical-table.md,
    # table A).
    stripes = np.tile([0.0, math.pi], (8, 32))
    quiet = np.abs(fields_plainly(stripes, np.zeros_like(stripes), (0.0, 0.0), 8, 64)[0, 0])
    leaking = np.abs(fields_plainly(stripes, np.zeros_like(stripes), (0.15, 0.15), 8, 64)[0, 0])
    wider = np.tile(np.repeat([0.0, math.pi], 4), (8, 8))
    less = np.abs(fields_plainly(wider, np.zeros_like(wider), (0.15, 0.15), 8, 64)[0, 0])
    assert quiet < 1e-12
    assert 0.25 < leaking < 0.4
    assert less == pytest.approx(leaking / 4, rel=0.05)
