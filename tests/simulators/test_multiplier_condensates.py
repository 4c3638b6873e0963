"""Condensates in the multiplier's light: shots and injection by themselves, against closed forms and plain steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics.counter_random import noise_key
from simulators.physics.domino.injection import Course, locked_alone, mean_of_run
from simulators.physics.domino.shots import Shot, propagators, seen_by_steps, seen_of_shots, vacuum

SHOT = Shot(gate=0.1, loss=1.0, tail=5.0)
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
