"""What a sheet's table is set up with, each part with arithmetic in place of light: encoding, reading, the response."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.bench.load import load_bench, packaged_benches
from labctl.client import ConfigurationError, LimitError
from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.calm import tone_of
from protocols.nep.table.encoding import FULL, LightLaw, PhaseLaw, PumpMacros, kinds_of
from protocols.nep.table.lifting import Lift, fit_blur, fit_levels
from protocols.nep.table.polishing import polished
from protocols.nep.table.reading import Places, make_reader, profile
from protocols.nep.table.response import Response, edges_of, found_response
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.steady import steady_state


def plan() -> NepAlignment:
    found = load_bench(packaged_benches()["nep-sim"]).alignment["nep"]
    assert isinstance(found, NepAlignment)
    return found


def random_T(rng: np.random.Generator, *shape: int, most: float = FULL) -> np.ndarray:
    x, y = rng.uniform(-0.5, 0.5, (2, *shape)) * most
    return np.asarray((x + y) + 1j * (x - y))


@pytest.mark.parametrize("leak", [0.0, 0.2])
def test_macro_pixels_show_the_amplitude_that_is_wanted_through_fringing_fields(leak: float) -> None:
    law = PhaseLaw(0.03, (0.1, 0.05), leak)
    T = random_T(np.random.default_rng(0), 20, 3, 9)
    kinds = kinds_of(T, law)
    assert np.abs(law.amplitude(kinds) - T).max() < 2e-3
    assert kinds.min() > law.shown(np.array(0.0)) - 1e-9
    assert kinds.max() < law.shown(np.array(2 * math.pi)) + 1e-9
    np.testing.assert_allclose(law.shown(law.to_write(kinds)), kinds, atol=1e-4)


def test_a_macro_pixel_holds_all_kinds_alike_along_every_edge() -> None:
    macros = PumpMacros(plan(), 112, 320, 0)
    shown = np.array([0.5, 1.5, 2.5, 3.5])[:, None, None, None] * np.ones((4, 1, 3, 9))
    block = macros.of_kinds(macros.law.shown(shown))[0][:32, :32]
    for edge in (block[0], block[-1], block[:, 0], block[:, -1]):
        assert np.unique(np.round(edge, 3), return_counts=True)[1].tolist() == [8, 8, 8, 8]


def test_rounding_to_gray_levels_differs_from_pattern_to_pattern_and_cancels_in_the_mean() -> None:
    macros = PumpMacros(plan(), 112, 320, 256)
    T = np.broadcast_to(random_T(np.random.default_rng(4), 3, 9), (31, 3, 9))
    step = 2 * math.pi / 256
    shown = np.round(macros.patterns(T) / step) * step
    exact = PumpMacros(plan(), 112, 320, 0).patterns(T[:1])[0]
    assert np.abs(shown[0] - exact).max() > 0.4 * step
    assert np.abs(shown.mean(axis=0) - exact).max() < 0.05 * step
    np.testing.assert_array_equal(macros.patterns(T[:3], turn=2), macros.patterns(T)[2:5])


def test_an_amplitude_out_of_reach_is_refused_with_the_limit() -> None:
    with pytest.raises(LimitError, match=r"\|Re T\| \+ \|Im T\| = 0\.7; 0\.33 is the most"):
        PumpMacros(plan(), 112, 320, 256).patterns(np.full((1, 3, 9), 0.7 + 0j))


def test_fields_are_read_from_fringes_beside_neighbours_of_any_brightness() -> None:
    rng, shape, blur = np.random.default_rng(1), (3, 6), 0.2
    places, carrier = Places(34.3, 52.6, 11.2, 0.01, blur=blur), (0.13, 0.21)
    psi = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    psi[1] = 0
    rows, columns = np.arange(70.0), np.arange(106.0)
    E = np.zeros((70, 106), np.complex128)
    for (r, c), value in zip(places.at(shape).reshape(2, -1).T, psi.ravel(), strict=True):
        E += 40 * value * profile(rows - r, 11.2, blur)[:, None] * profile(columns - c, 11.2, blur)[None, :]
    R = 90 * np.exp(2j * math.pi * (carrier[0] * rows[:, None] + carrier[1] * columns[None, :]))
    frame = np.abs(E) ** 2 + 90**2 + 2 * (E * R.conj()).real + 100
    dark = np.zeros(shape, np.bool_)
    dark[1] = True
    reader = make_reader(places, shape, dark, carrier, np.full(frame.shape, 90.0**2), 100.0)
    assert np.abs(reader.fields(frame[None])[0] / 40 - psi).max() < 0.001


def measured(nonlinearity: str = "saturation", noise: float = 0.0):  # type: ignore[no-untyped-def]
    """Fields of random macro-pixels on a chain, as a table reads them; and what they were made with."""
    rng, n, settings = np.random.default_rng(2), 9, 96
    c = 3 * (1 + 0.1 * rng.normal(size=n)) * np.exp(0.3j * np.arange(n))
    V = 0.3 + 0.04 * rng.normal(size=n)
    background = 0.1 * np.exp(1j * rng.uniform(0, 6, n))
    T = random_T(rng, settings, n) * np.linspace(0.2, 1, settings)[:, None]
    leaks = np.pad(T, ((0, 0), (1, 1)))
    P = c * (T + 0.1 * (leaks[:, 2:] + leaks[:, :-2]) + background)
    sheet = Sheet((n,), 0.1, 0.11, nonlinearity)  # type: ignore[arg-type]
    psi = steady_state(V, P, sheet).psi
    h = 60 * np.exp(0.4j)
    fields = h * psi
    fields = fields + noise * np.abs(fields).mean() * (rng.normal(size=psi.shape) + 1j * rng.normal(size=psi.shape))
    return T, fields, c, V, h, background


@pytest.mark.parametrize("nonlinearity", ["saturation", "density"])
def test_every_number_of_the_equation_follows_from_fields_of_random_pumps(nonlinearity: str) -> None:
    T, fields, c, V, _, background = measured(nonlinearity)
    edges = edges_of(np.zeros((1, 9), np.bool_))
    found = found_response(T, fields, edges, 0.1, nonlinearity == "density", 0.1 + 0j, lambda: None)
    assert np.abs(found.D - (V - 0.11j)).max() < 0.01
    assert np.abs(found.h) == pytest.approx(60, rel=0.02)
    turn = np.exp(1j * np.angle((found.c.conj() * c).sum()))
    assert np.abs(found.c * turn - c).max() < 0.02 * 3
    assert np.abs(found.background - background).max() < 0.01
    P = 0.3 * np.exp(1j * np.arange(9.0))[None]
    np.testing.assert_allclose(found.pump(found.macros(P)), P, atol=1e-9)


def test_polishing_takes_noise_out_that_the_linear_fit_leaves() -> None:
    """Noise of 0.5 %; 5 times fewer errors of the loss than 2 % (fixed seed)."""
    T, fields, _, V, _, _ = measured(noise=0.005)
    edges = edges_of(np.zeros((1, 9), np.bool_))
    first = found_response(T, fields, edges, 0.1, False, 0.1 + 0j, lambda: None)
    found = polished(first, first.D, T, fields, Sheet((9,)), lambda: None)
    assert found.gamma == pytest.approx(0.11, rel=0.02)
    assert np.abs(found.D.real - V).max() < 0.01
    assert found.off < 0.01


def test_polishing_finds_leaks_and_what_is_shown_of_the_conjugate_from_node_to_node() -> None:
    """Leaks turned by up to 0.7 rad, T* of 1 % (rms), fields read by a wavefront of 0.03 rad; noise of 0.2 %."""
    rng, n, settings = np.random.default_rng(5), 9, 64
    T = random_T(rng, settings, n) * np.linspace(0.2, 1, settings)[:, None]
    edges = edges_of(np.zeros((1, n), np.bool_))
    c, V = 3 * np.exp(0.3j * np.arange(n)), 0.04 * rng.normal(size=n)
    conj, sides = (1, 1j) @ (0.01 * rng.normal(size=(2, n))), 0.1 * np.exp(1j * rng.uniform(-0.7, 0.7, (n, 4)))
    beside = 0.004 * rng.normal(size=(n, 4)) + 0j
    there = edges.neighbours >= 0
    truth = Response(
        edges, 0.1, False, c, np.full(n, 60 + 0j), V - 0.105j, np.full(n, 0.1j), np.where(there, sides, 0), 0.0,
        conj, np.where(there, beside, 0),
    )  # fmt: skip
    psi = steady_state(V, truth.pump(T), Sheet((n,), 0.1, 0.105, "saturation")).psi
    fields = 60 * np.exp(1j * (0.4 + 0.03 * np.linspace(-1, 1, n) ** 2)) * psi
    fields = fields * (1 + 0.002 * (rng.normal(size=psi.shape) + 1j * rng.normal(size=psi.shape)))
    start = Response(
        edges, 0.1, False, c * 1.03, np.full(n, 58 * np.exp(0.4j)), V + 0.003 - 0.1j, np.full(n, 0.1j),
        np.where(there, 0.1 + 0j, 0), 0.01,
    )  # fmt: skip
    found = polished(start, start.D, T, fields, Sheet((n,)), lambda: None)
    assert found.off < 0.004
    assert found.gamma == pytest.approx(0.105, rel=0.01)
    assert np.abs(found.response.h).mean() == pytest.approx(60, rel=0.01)
    off = np.abs(found.D.real - V)  # at the ends, leaks and hopping from one neighbour are hard to tell apart
    assert off[1:-1].max() < 0.003
    assert off.max() < 0.006
    assert found.response.conj is not None
    assert np.sqrt((np.abs(found.response.conj - conj) ** 2).mean()) < 0.004
    T_again = found.response.macros(found.response.pump(T))
    np.testing.assert_allclose(T_again, T, atol=1e-6)


def test_a_panels_tone_is_found_in_means_over_short_exposures() -> None:
    """A tone of 217.3 Hz under as much noise; its frequency to a hundredth of 1 / 45 s (fixed seed)."""
    rng, true_hz = np.random.default_rng(6), 217.3
    exposure_s = np.repeat(rng.uniform(0.004, 0.03, 24), 12)
    start_s = np.cumsum(exposure_s + 0.15)
    changes = np.sinc(true_hz * exposure_s) * np.cos(2 * math.pi * true_hz * (start_s + exposure_s / 2) + 1)
    noise = rng.normal(size=len(changes)) * changes.std()
    found_hz, share = tone_of(changes + noise, start_s, exposure_s)
    assert found_hz == pytest.approx(true_hz, abs=0.002)
    assert share > 0.35
    assert tone_of(noise, start_s, exposure_s)[1] < 0.2


def test_light_is_found_that_makes_a_potential_through_a_blur() -> None:
    rng, shape = np.random.default_rng(3), (1, 12)
    ok = np.ones(shape, np.bool_)
    truth = Lift(np.full(shape, -0.3 - 0.1j), np.full(shape, 1.4), 0.1, 0.7, (0.0, 0.03), ok, 0.0)
    law = LightLaw(PhaseLaw(0.03, (0.1, 0.0), 0.0))
    written = np.linspace(0.15, math.pi, 9)
    levels = np.array([truth.lifted(np.full(shape, law.light(np.array(x)))) for x in written])
    found_law, start = fit_levels(written, levels, ok)
    light = rng.uniform(0.2, 1.0, (16, *shape))
    found = fit_blur(start, light, np.array([truth.lifted(one) for one in light]))
    assert found.blur == pytest.approx(0.7, abs=0.05)
    assert found.gain == pytest.approx(0.1, abs=0.01)
    x = np.linspace(0.2, 3.0, 20)
    fit = found_law.light(x)
    scale = np.polyfit(fit, law.light(x), 1)
    assert np.abs(np.polyval(scale, fit) - law.light(x)).max() < 0.02
    V = 0.05 * np.sin(np.arange(12) / 3)[None]
    shown = truth.lifted(found.light_for(V)).real
    assert np.abs(shown - V)[0, 2:-2].max() < 0.02  # at the ends, light is missing outside
    assert found.light_for(V - 5).max() == 0  # light is not negative


def test_a_plan_that_does_not_fit_says_what_does() -> None:
    config = load_bench(packaged_benches()["nep-sim"])
    devices = {"slm": type("Panel", (), {"rows": 40, "columns": 320})()}
    with pytest.raises(ConfigurationError, match=r"slm: 3 x 9 places of 32 pixels .*take fewer nodes"):
        config.alignment["nep"].check_on(devices)  # type: ignore[attr-defined]
    wide = plan().model_copy(update={"carrier": plan().carrier.model_copy(update={"row": 0.01, "column": 0.02})})
    with pytest.raises(ConfigurationError, match=r"0\.3 fringes to a node"):
        wide.check_on({})


def test_patterns_do_not_depend_on_the_number_of_threads() -> None:
    macros = PumpMacros(plan(), 112, 320, 256)
    macros.law = PhaseLaw(0.03, (0.1, 0.05), 0.2)
    T = random_T(np.random.default_rng(0), 40, 3, 9)
    written = []
    for threads in (1, 2, 3):
        macros.threads = threads
        written.append(macros.patterns(T))
    np.testing.assert_array_equal(written[0], written[1])
    np.testing.assert_array_equal(written[0], written[2])


def test_pixels_of_a_macro_pixel_show_its_kinds() -> None:
    macros = PumpMacros(plan(), 112, 320, 0)
    macros.law = PhaseLaw(0.03, (0.1, 0.05), 0.2)
    T = random_T(np.random.default_rng(0), 2, 3, 9)
    kinds = kinds_of(T, macros.law)
    pattern = macros.law.shown(macros.patterns(T).astype(np.float64)).reshape(2, 3, 32, 9, 32)
    phases = pattern[:, :, 0][..., ::8]  # (patterns, down, across, blocks of the first row)
    for block, kind in enumerate((0, 2, 1, 3)):
        np.testing.assert_allclose(phases[..., block], kinds[kind], atol=1e-4)
