"""Macro-pixels in a blazed order: phases whose fields, with fringing fields, are those that were wanted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.prbm_strip import HEADROOM, BlazedStrip, blaze_of, stripes
from labctl.client import ConfigurationError
from simulators.physics.macro_fields import fields_plainly

BANDS, SPINS, WIDTH = 24, 62, 8
CROSSTALK = 0.16, 0.19


def strip(crosstalk_px: tuple[float, float] = CROSSTALK) -> BlazedStrip:
    wavelengths = 588e-9 + 0.045e-9 * np.arange(2 * BANDS)
    columns = np.arange(100, 100 + SPINS * WIDTH)
    blaze = blaze_of(wavelengths, columns, 100 + SPINS * WIDTH / 2, 32.0, 589e-9)
    return BlazedStrip(10, 2, 100, WIDTH, blaze, crosstalk_px)


def wished(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], (BANDS, SPINS)), np.clip(rng.normal(0, 0.25, (BANDS, SPINS)), -HEADROOM, HEADROOM)


def test_sums_of_fields_are_those_wanted_where_plain_phases_miss_them() -> None:
    made = strip()
    signs, u = wished(1)
    lit, weights = np.ones(u.shape, np.bool_), np.ones(u.shape)
    wanted = (signs * u).sum(axis=1)
    phases, left = made.solve(signs, u, lit, weights)
    # Judged by the plain road, which shares nothing with the solver.
    solved, plain = (
        fields_plainly(p, made.carrier + math.pi / 2, CROSSTALK, 2, WIDTH).real.sum(axis=1)
        for p in (phases.copy(), made.phases(signs, u, lit))
    )
    assert np.std(plain - wanted) > 0.1
    assert np.std(solved - wanted) < 0.02
    assert np.abs(left - (solved - wanted)).max() < 2e-3


def test_a_wrong_width_of_the_fringing_fields_spoils_little() -> None:
    signs, u = wished(2)
    lit, weights = np.ones(u.shape, np.bool_), np.ones(u.shape)
    made = strip((CROSSTALK[0] * 0.9, CROSSTALK[1] * 1.1))
    phases, _ = made.solve(signs, u, lit, weights)
    solved = fields_plainly(phases, made.carrier + math.pi / 2, CROSSTALK, 2, WIDTH).real.sum(axis=1)
    assert np.std(solved - (signs * u).sum(axis=1)) < 0.05


def test_phases_out_of_the_panels_reach_are_made_up_for() -> None:
    # A look-up table that is 5 % short of a turn: a twentieth of the pixels show one of its ends instead.
    signs, u = wished(5)
    lit, weights = np.ones(u.shape, np.bool_), np.ones(u.shape)
    made = strip()
    short = BlazedStrip(10, 2, 100, WIDTH, made.carrier, CROSSTALK, reach=np.full(made.carrier.shape, 0.95, np.float32))
    phases, _ = short.solve(signs, u, lit, weights)
    assert np.mod(phases, 2 * math.pi).max() <= 0.95 * 2 * math.pi + 1e-6
    solved = fields_plainly(phases, made.carrier + math.pi / 2, CROSSTALK, 2, WIDTH).real.sum(axis=1)
    assert np.std(solved - (signs * u).sum(axis=1)) < 0.03


def test_dark_macro_pixels_send_nothing_to_the_order() -> None:
    made = strip((0.0, 0.0))
    signs, u = wished(3)
    fields = made.fields(signs, u, np.zeros(u.shape, np.bool_))
    assert np.abs(fields).max() < 2e-3


def test_without_fringing_fields_plain_phases_are_exact() -> None:
    made = strip((0.0, 0.0))
    signs, u = wished(4)
    assert np.allclose(made.fields(signs, u, np.ones(u.shape, np.bool_)), signs * u, atol=2e-3)


def test_stripes_are_one_pixel_wide() -> None:
    assert stripes(2, 4, along_rows=True).tolist() == [[1, 1, 1, 1], [-1, -1, -1, -1]]
    assert stripes(2, 4, along_rows=False).tolist() == [[1, -1, 1, -1], [1, -1, 1, -1]]


def test_a_blaze_moves_every_wavelength_by_the_same_way() -> None:
    # way = focal length x wavelength x phase per column / (2 pi pitch)
    wavelengths = np.array([588e-9, 600e-9, 611e-9])
    blaze = blaze_of(wavelengths, np.arange(64), 0.0, 32.0, 600e-9)
    way = wavelengths * (blaze[:, 1] - blaze[:, 0])
    assert np.allclose(way, 600e-9 * 2 * math.pi / 32)


def test_one_column_is_too_narrow_for_two_phases() -> None:
    with pytest.raises(ConfigurationError, match="2 columns or more"):
        BlazedStrip(0, 2, 0, 1, np.zeros((4, 8)), CROSSTALK)
