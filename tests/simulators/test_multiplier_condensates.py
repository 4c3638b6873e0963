"""Condensates in the multiplier's light: shots and injection against closed forms and plain steps, and on the table."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from multiplier_plan import COLUMNS, EVEN, ROWS, fringes, levels, light, picture, region, table
from numpy.typing import NDArray
from pydantic import ValidationError

from simulators.physics.counter_random import noise_key
from simulators.physics.domino.injection import Course, locked_alone, mean_of_run
from simulators.physics.domino.shots import Shot, propagators, seen_by_steps, seen_of_shots, vacuum
from simulators.worlds.multiplier import MultiplierWorld
from simulators.worlds.multiplier.condensates import CondensateLight

SHOT = Shot(gate=0.1, loss=1.0, tail=5.0)
SITES, WIDTH, BAND = 3, 32, 24
SAMPLE: dict[str, Any] = {
    "sites": SITES, "first_column": 16, "columns": WIDTH, "first_row": 12, "rows": BAND, "seed_power": "100 mW",
    "spot": "1 m",
}  # fmt: skip
COURSE = Course(step=0.02, settle=150.0, average=100.0)


def alone(gain: float, detuning: float, drive: float) -> tuple[complex, float]:
    """Means of psi and of |psi|^2 of one condensate."""
    seen = mean_of_run(
        np.array([gain]), np.array([detuning]), np.zeros((1, 1), np.complex128), np.array([drive], np.complex128),
        np.array([0.01 + 0j]), COURSE,
    )  # fmt: skip
    return complex(seen.amplitude[0]), float(seen.density[0, 0].real)


def test_a_shot_by_matrix_exponentials_is_one_by_steps() -> None:
    rng = np.random.default_rng(1)
    J = rng.normal(size=(6, 6)) + 1j * rng.normal(size=(6, 6))
    starts = rng.normal(size=(3, 6)) + 1j * rng.normal(size=(3, 6))
    fast, plain = seen_of_shots(propagators(J, SHOT.gate), starts, SHOT), seen_by_steps(J, starts, SHOT, 200)
    assert fast.amplitude == pytest.approx(plain.amplitude, rel=1e-7)
    assert fast.density == pytest.approx(plain.density, rel=1e-7)


def test_one_condensate_grows_and_decays_as_exponentials_do() -> None:
    growth, start = 0.7, 0.3
    seen = seen_of_shots(propagators(np.array([[growth + 0j]]), SHOT.gate), np.array([[start + 0j]]), SHOT)
    end = start * math.exp(growth * SHOT.gate)
    decay = (1 - math.exp(-SHOT.loss * SHOT.tail)) / SHOT.loss
    assert seen.amplitude[0] == pytest.approx((end - start) / growth + end * decay, rel=1e-9)
    doubled = (end**2 - start**2) / (2 * growth) + end**2 * (1 - math.exp(-2 * SHOT.tail)) / 2
    assert seen.density[0, 0].real == pytest.approx(doubled, rel=1e-9)


def test_what_is_seen_of_a_shot_is_mostly_its_decay() -> None:
    seen = seen_of_shots(propagators(np.zeros((1, 1), np.complex128), SHOT.gate), np.array([[1.0 + 0j]]), SHOT)
    assert SHOT.gate / abs(seen.amplitude[0]) == pytest.approx(0.1 / 1.0933, rel=1e-3)


def test_an_empty_condensate_has_half_a_quantum() -> None:
    # 40,000 numbers: their mean square is right to 0.5 %; tolerance 5 sigma, seed fixed.
    noise = vacuum(noise_key(7, "condensates"), 3, 4000, 10, polaritons=165.0)
    assert np.mean(np.abs(noise) ** 2) == pytest.approx(1 / 330, rel=0.025)
    assert abs(np.mean(noise**2)) < 0.025 / 330
    assert np.array_equal(noise[:5, :3], vacuum(noise_key(7, "condensates"), 3, 5, 3, polaritons=165.0))


@pytest.mark.parametrize("detuning", [0.0, 0.1, -0.25])
def test_a_locked_condensate_is_off_by_the_arcsine(detuning: float) -> None:
    gain, drive = 1.0, 0.4
    psi, density = alone(gain, detuning, drive)
    size = abs(psi)
    assert density == pytest.approx(size**2, rel=1e-6)  # its phase rests
    assert np.angle(psi) == pytest.approx(math.asin(detuning * size / drive), abs=1e-6)
    assert density * ((gain - density) ** 2 + detuning**2) == pytest.approx(drive**2, rel=1e-6)
    assert size > 1.1  # and more than root g: the drive biases it
    rest = locked_alone(gain, detuning, drive)
    assert rest is not None
    assert psi == pytest.approx(rest, rel=1e-6)


def test_locking_ends_where_the_detuning_is_the_drive_per_field() -> None:
    gain, drive = 1.0, 0.1  # a weak drive: |psi| stays near 1, and Adler's bound is near F
    for detuning, locks in ((0.085, True), (0.115, False)):
        psi, density = alone(gain, detuning, drive)
        assert (abs(psi) ** 2 > 0.99 * density) == locks
        assert (locked_alone(gain, detuning, drive) is not None) == locks
    assert abs(alone(gain, 0.3, drive)[0]) < 0.25  # far outside its fringes are nearly gone


def test_couplings_alone_let_the_leading_mode_win() -> None:
    rng = np.random.default_rng(2)
    J = np.abs(rng.normal(size=(6, 6)))
    J = (J + J.T) / 2 * 0.05
    seen = mean_of_run(
        np.full(6, -0.1), np.zeros(6), J.astype(np.complex128), np.zeros(6, np.complex128),
        1e-3 * np.ones(6, np.complex128), COURSE,
    )  # fmt: skip
    rate = (-0.1 - np.abs(seen.amplitude) ** 2) * seen.amplitude + J @ seen.amplitude
    assert np.abs(rate).max() < 1e-6  # at rest, where gain and couplings balance
    assert abs(seen.amplitude[0]) > 0.1


# --- on the table ---------------------------------------------------------------------------------------------------


def condensates(mode: str, sample: dict[str, Any] | None = None, **changes: Any) -> MultiplierWorld:
    """Three condensates on an even table; a spot so wide that every column is alike."""
    return table(**(EVEN | {"mode": mode, "oscillators": SAMPLE | (sample or {})} | changes))


def condensate_light(world: MultiplierWorld) -> CondensateLight:
    """What a test asks behind the camera."""
    assert isinstance(world._light, CondensateLight)
    return world._light


def write(world: MultiplierWorld, psi: NDArray[np.float64], M: NDArray[np.float64]) -> None:
    """Macro-pixels of both panels about phase pi, of amplitudes 0 to 1, and wait."""
    site = (np.arange(COLUMNS) - 16) // WIDTH
    band = (np.arange(ROWS) - 12) // BAND
    along = np.where((site >= 0) & (site < SITES), psi[np.clip(site, 0, SITES - 1)], 0)
    strip = math.pi + np.arccos(along) * (-1.0) ** np.arange(COLUMNS)
    inside = ((band >= 0) & (band < SITES))[:, None] & ((site >= 0) & (site < SITES))[None, :]
    value = np.where(inside, M[np.clip(band, 0, SITES - 1)][:, np.clip(site, 0, SITES - 1)], 0)
    sign = (-1.0) ** (np.arange(ROWS)[:, None] + np.arange(COLUMNS)[None, :] // 2)
    world.write(levels(world, np.tile(strip, (4, 1))), 0, 0)
    world.couple(levels(world, math.pi + np.arccos(value) * sign), 0, 0)
    world.clock.sleep_until(world.clock.now_ns() + 500_000_000)


def inside(band: int) -> slice:
    """Rows of the small region in which a condensate's light is, without its edges."""
    middle = (12 + BAND * (band + 0.5) - ROWS / 2) * 2 * 8 / 6.5 + region().rows / 2
    return slice(round(middle) - 20, round(middle) + 20)  # ten fringes


def integrals(world: MultiplierWorld) -> NDArray[np.complex128]:
    """Complex fringes (sites,) in units of their own."""
    term, rows = fringes(world), region().row + np.arange(region().rows) - 1080
    waves = np.exp(2j * math.pi * world.parameters.reference.carrier_rows * rows)
    return np.array([np.mean((term * waves)[inside(b)]) for b in range(SITES)])


def test_fringes_of_shots_are_integrals_of_the_coupled_field() -> None:
    world = condensates("shot", {"shots": 1, "coupling": 2.0}, noise=False)
    psi, M = np.array([0.9, 0.4, 0.6]), np.array([[0, 0.8, 0.3], [0.8, 0, 0.5], [0.3, 0.5, 0]])
    write(world, psi, M)
    found = integrals(world)
    expected = seen_by_steps((2.0 * M).astype(np.complex128), psi[None].astype(np.complex128), SHOT, 100).amplitude.real
    # 8 bits, and edges of macro-pixels half a sub-pixel off: a hundredth.
    assert np.abs(found / found[0] - expected / expected[0]).max() < 0.015
    write(world, psi, np.zeros((SITES, SITES)))
    alone = integrals(world)
    assert np.abs(alone / alone[0] - psi / psi[0]).max() < 0.015
    assert np.abs(found / alone - expected / (psi * (0.1 + 1 - math.exp(-5)))).max() < 0.02


def test_every_polariton_that_leaves_is_a_photon() -> None:
    sample = {"shots": 50, "spot": "20 um", "polaritons": 200.0}
    world = condensates("shot", sample, noise=False, beam={"waist": "1 m"})
    write(world, np.array([1.0, 0.0, 0.0]), np.zeros((SITES, SITES)))
    light(world, 0.1, 0.0)
    o = world.parameters.oscillators
    seeded = abs(condensate_light(world).drive(world._exposure(0, world.clock.now_ns(), 1e-3))[0])
    density = 50 * seeded**2 * (o.gate + (1 - math.exp(-2 * o.tail)) / 2)
    expected = density * 2 * o.polaritons * o.collection * world.parameters.camera.quantum_efficiency
    assert seeded == pytest.approx(1.0, rel=0.02)
    assert picture(world, region(columns=60)).sum() == pytest.approx(expected, rel=0.02)


def test_shots_of_an_exposure_average_their_vacuum_noise() -> None:
    # 200 exposures of 1 and of 16 shots: spreads of the fringes' quotient 4, right to 7 %; tolerance 4 sigma.
    spread = {}
    for shots in (1, 16):
        world = condensates("shot", {"shots": shots}, ideal=False, camera={"ideal": True})
        write(world, np.full(SITES, 0.8), np.zeros((SITES, SITES)))
        exposures = [world._exposure(k, world.clock.now_ns(), 1e-3) for k in range(200)]
        fields = np.array([condensate_light(world).seen(e)[0].amplitude[0] / shots for e in exposures])
        spread[shots] = float(np.std(fields))
    assert spread[1] / spread[16] == pytest.approx(4.0, rel=0.28)
    assert spread[1] == pytest.approx(1.0933 / math.sqrt(330), rel=0.2)


def test_an_injected_condensate_locks_or_loses_its_fringes() -> None:
    world = condensates("injection", {"gain": 1.0, "coupling": 0.0, "seed_power": "100 mW"}, noise=False)
    write(world, np.full(SITES, 1.0), np.zeros((SITES, SITES)))
    condensate_light(world).truth = replace(world._light.truth, detunings=np.array([0.0, 0.2, 3.0]))
    light(world, 0.016, 0.1)  # F = 0.4
    seen, lasting = condensate_light(world).seen(world._exposure(0, world.clock.now_ns(), 1e-3))
    amplitude, density = seen.amplitude / lasting, np.diag(seen.density).real / lasting
    drive = condensate_light(world).drive(world._exposure(0, world.clock.now_ns(), 1e-3))
    for k, detuning in ((0, 0.0), (1, 0.2)):
        rest = locked_alone(1.0, detuning, abs(drive[k]))
        assert rest is not None
        assert amplitude[k] / (drive[k] / abs(drive[k])) == pytest.approx(rest, rel=1e-3)
    fringe = np.abs(integrals(world))
    assert fringe[2] < 0.2 * fringe[0]  # its phase runs
    assert density[2] == pytest.approx(1.0, abs=0.1)  # and it shines as before


def test_couplings_between_two_states_of_flicker_are_what_they_are_there() -> None:
    world = condensates("shot", ideal=False, hidden="typical")
    M = np.array([[0, 0.8, 0.3], [0.8, 0, 0.5], [0.3, 0.5, 0]])
    write(world, np.full(SITES, 0.8), M)
    shown = condensate_light(world)
    e = world._exposure(0, world.clock.now_ns(), 1e-3)
    for scale in (0.985, 1.0, 1.012):
        between = shown.couplings_now(replace(e, scales=np.array([scale])))
        exact = shown._averaged(world.second.phase, scale)
        assert np.abs(between - exact).max() < 2e-3
    assert np.abs(shown.couplings_now(e) - M).max() > 0.05  # which a typical table is far off


def test_condensates_that_do_not_fit_the_panels_are_refused() -> None:
    with pytest.raises(ValidationError, match="fewer sites"):
        condensates("shot", {"sites": 4})
