"""Smooth maps and band couplings are found from made-up observations of known ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.order_fit import fit_bands, fit_map
from calibration.order_map import OrderMap
from calibration.order_readout import CodedFlips, SingleFlips


def order_of(gains: NDArray[np.float64], coupling: NDArray[np.float64]) -> OrderMap:
    grid = np.ones((4, 4))
    return OrderMap(
        pixel=(0, 0), first_row=0, rows_per_band=2, bands=len(gains), centre_column=32.0, period_px=32.0,
        at_wavelength_m=6e-7, row_wavelengths_m=np.full(2 * len(gains), 6e-7), columns=np.linspace(0, 64, 4),
        band_places=np.linspace(0, len(gains) - 1, 4), phase_rad=0 * grid, amplitude=grid, crosstalk_px=(0.1, 0.1),
        gains=gains, coupling=coupling, output=np.ones(len(gains)),
    )  # fmt: skip


def test_a_wavefront_and_a_beam_are_read_from_noisy_cells_and_followed_over_many_turns() -> None:
    rng = np.random.default_rng(3)
    bands, columns = np.linspace(-1, 1, 15), np.linspace(-0.93, 0.93, 15)
    x, y = np.broadcast_to(columns, (15, 15)), bands[:, None]
    phase = 5.0 * x + 3.0 * x**2 - 2.0 * x * y + 0.5 * x**3
    amplitude = np.exp(-0.6 * x**2 + 0.1 * x)
    gains = 1 + 0.3 * np.sin(3 * bands)[:, None]
    noise = 0.03 * (rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape))
    found = fit_map(gains * amplitude * np.exp(1j * phase) + noise, bands, x)
    where = np.linspace(-1, 1, 9)
    fine_x, fine_y = where[None, :], where[:, None]
    truth = 5.0 * fine_x + 3.0 * fine_x**2 - 2.0 * fine_x * fine_y + 0.5 * fine_x**3
    off = found.phase(where, where) - truth
    assert np.sqrt((off**2).mean()) < 3 * found.phase_error < 0.1
    ratio = found.amplitude(where, where) / np.exp(-0.6 * fine_x**2 + 0.1 * fine_x)
    assert np.abs(ratio - 1).max() < 0.1


def test_gains_and_couplings_are_read_from_random_sums_and_solved_for() -> None:
    rng = np.random.default_rng(4)
    n = 120
    gains = 1 + 0.25 * np.cos(np.linspace(0, 4, n))
    gains /= gains.mean()
    coupling = np.stack([np.linspace(0.22, 0.28, n), np.full(n, -0.01)])
    order = order_of(gains, coupling)
    sums = rng.normal(0, 3, (2, n))
    seen = np.array([order.seen(range(n), c) for c in sums])
    found = fit_bands(sums, 7.0 * seen + rng.normal(0, 0.5, seen.shape))
    assert found.unit == pytest.approx(7.0, rel=5 * found.unit_error)
    assert np.abs(found.gains - gains).max() < 6 * found.gain_error
    assert np.abs(found.coupling[0] - coupling[0]).max() < 5 * found.coupling_error
    again = order_of(found.gains, found.coupling).sums(range(n), seen[0])
    assert np.corrcoef(again, sums[0])[0, 1] > 0.9999


def test_an_output_spin_in_the_shade_of_dust_is_found_and_no_other() -> None:
    rng = np.random.default_rng(7)
    n = 200
    order = order_of(np.ones(n), np.stack([np.full(n, 0.25), np.zeros(n)]))
    sums = rng.normal(0, 3, (2, n))
    seen = np.array([order.seen(range(n), c) for c in sums])
    seen[:, 90:93] *= 0.4
    found = fit_bands(sums, seen + rng.normal(0, 0.25, seen.shape))
    assert np.flatnonzero(found.output != 1).tolist() == [90, 91, 92]
    assert found.output[90:93] == pytest.approx(0.4, abs=0.2)
    assert found.coupling[0] == pytest.approx(0.25, abs=5 * found.coupling_error)


def test_solving_for_the_coupling_is_the_inverse_of_seeing_it() -> None:
    rng = np.random.default_rng(5)
    order = order_of(rng.uniform(0.7, 1.3, 40), np.stack([np.full(40, 0.3), np.full(40, 0.02)]))
    for bands in (range(40), range(7, 12), range(3, 4)):
        sums = rng.normal(size=len(bands))
        assert np.allclose(order.sums(bands, order.seen(bands, sums)), sums)
    assert (order.noise_gain(range(40)) > 0.7).all()


@pytest.mark.parametrize("kind", [CodedFlips, SingleFlips])
@pytest.mark.parametrize("outputs", [1, 13, 196])
def test_flips_tell_contrasts(kind: type, outputs: int) -> None:
    rng = np.random.default_rng(6)
    flips, contrasts = kind(outputs), rng.normal(0, 1, outputs)
    assert np.allclose(flips.contrasts(shown(flips, contrasts)), contrasts, atol=0.02)


@pytest.mark.parametrize("kind", [CodedFlips, SingleFlips])
def test_references_divide_out_what_the_source_does(kind: type) -> None:
    rng = np.random.default_rng(6)
    flips, contrasts = kind(196), rng.normal(0, 1, 196)
    light = shown(flips, contrasts)
    drifting = light * np.linspace(1.0, 1.02, len(light))
    # Over a code's length the light rises by 10, and contrasts of 1 are found all the same.
    assert np.abs(flips.contrasts(drifting) / 1.01 - contrasts).max() < 0.2


def shown(flips: CodedFlips | SingleFlips, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light (frames,) of outputs that each add half their contrast or take it away."""
    spins = np.ones((len(flips.frames), len(contrasts)))
    for row, frame in zip(spins, flips.frames, strict=True):
        row[frame] = -1
    return np.asarray(500 + 0.5 * spins @ contrasts)


def test_products_of_neighbours_do_not_pile_up_in_few_outputs() -> None:
    # What coupled bands add to every pattern: in the natural order of columns, half of it would be the first one's.
    flips = CodedFlips(196, turn=1)
    spins = np.ones((len(flips.frames), 196))
    for row, frame in zip(spins, flips.frames, strict=True):
        row[frame] = -1
    light = 5000 + (spins[:, 1:] * spins[:, :-1]).sum(axis=1)
    assert np.abs(flips.contrasts(light)).max() < 12


def test_coded_flips_spread_a_tone_over_all_outputs() -> None:
    flips = CodedFlips(196, turn=3)
    tone = 500 * (1 + 0.01 * np.sin(0.9 * np.arange(len(flips.frames))))
    found = np.abs(flips.contrasts(tone))
    assert found.max() < 5 * found.mean()
