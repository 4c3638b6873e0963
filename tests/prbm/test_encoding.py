"""Eq. (1): the field on the axis of what is written is that of the equations, for every layout."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from labctl.client import ConfigurationError, Sequence
from protocols.prbm.light.alignment import CameraPixel, PrbmAlignment
from protocols.prbm.light.encoding import (
    Flips,
    LayerEncoding,
    Strip,
    dark_panel,
    macro_pixel_places,
    reference_sequence,
)
from protocols.prbm.light.layers import Layer


def alignment(bands: int = 12, rows_per_band: int = 2) -> PrbmAlignment:
    return PrbmAlignment(
        first_row=3,
        rows_per_band=rows_per_band,
        bands=bands,
        centre_column=60,
        zeroth_order=CameraPixel(row=5, column=5),
        wavelength_first=588.0,
        wavelength_per_band=0.1,
    )


def patterns(sequence: Sequence) -> NDArray[np.float64]:
    """Every pattern of a sequence in full, by the contract's definition."""
    out = []
    top, left = sequence.base_origin
    for k in range(len(sequence)):
        image = np.array(sequence.base, np.float64)
        for index in sequence.indices[sequence.offsets[k] : sequence.offsets[k + 1]]:
            row, column = sequence.patch_origins[index] - [top, left]
            height, width = sequence.patches.shape[1:]
            image[row : row + height, column : column + width] = sequence.patches[index]
        out.append(image)
    return np.array(out)


def axis_fields(images: NDArray[np.float64], table: PrbmAlignment, pixels_per_spin: int) -> NDArray[np.complex128]:
    """Field on the axis of each band of each pattern, in units of one macro-pixel."""
    rows = table.rows_per_band
    field = np.exp(1j * images).sum(axis=2)
    banded = field.reshape(len(images), table.bands, rows).sum(axis=2)
    return banded / (rows * pixels_per_spin)


@pytest.mark.parametrize("output_at", ["centre", "end"])
@pytest.mark.parametrize("pixels_per_spin", [2, 4])
def test_the_field_of_every_band_is_i_times_L_over_wmax_plus_h(output_at: str, pixels_per_spin: int) -> None:
    rng = np.random.default_rng(1)
    weights, fields, spins = rng.normal(size=(7, 12)), rng.normal(size=12), rng.choice(np.array([-1, 1], np.int8), 7)
    table = alignment()
    strip = Strip.on(table, 120, 9, pixels_per_spin)
    encoding = LayerEncoding(Layer.dense(weights, fields), table, strip, output_at, "single")
    found = axis_fields(patterns(encoding.sequence(encoding.passes[0], spins)), table, pixels_per_spin)
    expected = 1j * ((spins @ weights + fields) / encoding.wmax + singly_flipped(12))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def singly_flipped(outputs: int) -> NDArray[np.float64]:
    h = np.ones((outputs + 1, outputs))
    h[np.arange(1, outputs + 1), np.arange(outputs)] = -1
    return h


def test_a_sparse_layer_shows_only_the_neighbours_of_each_spin() -> None:
    rng = np.random.default_rng(2)
    whole = sparse.random_array((11, 11), density=0.3, rng=rng, data_sampler=rng.normal)
    couplings, fields = sparse.csr_array(whole + whole.T), rng.normal(size=11)
    outputs = np.array([0, 3, 4, 8])
    layer = Layer.sparse(couplings, fields, outputs)
    assert layer.width == np.diff(couplings.indptr)[outputs].max() < 11
    spins, table = rng.choice(np.array([-1, 1], np.int8), 11), alignment()
    encoding = LayerEncoding(layer, table, Strip.on(table, 120, layer.width, 2), "centre", "single")
    found = axis_fields(patterns(encoding.sequence(encoding.passes[0], spins)), table, 2)[:, :4]
    expected = (couplings.toarray() @ spins + fields)[outputs]
    np.testing.assert_allclose(found, 1j * (expected / encoding.wmax + singly_flipped(4)), atol=1e-12)
    np.testing.assert_allclose(layer.local_fields(spins), expected, atol=1e-12)


def test_chains_see_spins_of_their_own_only() -> None:
    rng = np.random.default_rng(3)
    weights, fields, table = rng.normal(size=(5, 3)), rng.normal(size=3), alignment()
    layer = Layer.dense(weights, fields).repeated(4)
    spins = rng.choice(np.array([-1, 1], np.int8), 20)
    expected = (spins.reshape(4, 5) @ weights + fields).ravel()
    np.testing.assert_allclose(layer.local_fields(spins), expected, atol=1e-12)
    encoding = LayerEncoding(layer, table, Strip.on(table, 120, 5, 2), "centre", "single")
    found = axis_fields(patterns(encoding.sequence(encoding.passes[0], spins)), table, 2)
    np.testing.assert_allclose(found, 1j * (expected / encoding.wmax + singly_flipped(12)), atol=1e-12)


def test_new_fields_change_only_the_macro_pixels_of_the_auxiliary_spins() -> None:
    rng = np.random.default_rng(4)
    weights, table, spins = rng.normal(size=(6, 12)), alignment(), np.ones(6, np.int8)
    encoding = LayerEncoding(Layer.dense(weights, np.zeros(12), 3.0), table, Strip.on(table, 120, 6, 2))
    before = encoding.sequence(encoding.passes[0], spins).base
    fields = rng.uniform(-3, 3, 12)
    encoding.set_fields(fields)
    after = encoding.sequence(encoding.passes[0], spins).base
    _, auxiliary, _ = macro_pixel_places(6, 8, "centre")
    changed = np.flatnonzero((before != after).any(axis=0))
    assert changed.tolist() == [2 * auxiliary, 2 * auxiliary + 1]
    fresh = LayerEncoding(Layer.dense(weights, fields, 3.0), table, Strip.on(table, 120, 6, 2))
    np.testing.assert_array_equal(after, fresh.sequence(fresh.passes[0], spins).base)
    with pytest.raises(ConfigurationError, match=r"reaches 3; give the layer a largest_field"):
        encoding.set_fields(np.full(12, 3.1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": np.array([[0, 5]])}, "0 to 4"),
        ({"inputs": np.array([[0, -1]])}, "a coupling to no spin"),
        ({"couplings": np.array([[np.nan, 1.0]])}, "couplings contain nan"),
        ({"fields": np.zeros(3)}, r"fields \(3,\)"),
    ],
)
def test_a_layer_that_contradicts_itself_is_refused(change: dict[str, NDArray[np.generic]], told: str) -> None:
    given = {"couplings": np.ones((1, 2)), "inputs": np.array([[0, 1]]), "fields": np.zeros(1)} | change
    with pytest.raises(ConfigurationError, match=told):
        Layer(**given, n_inputs=5)


@pytest.mark.parametrize("kind", ["single", "hadamard"])
@pytest.mark.parametrize("outputs", [1, 2, 5, 7, 8, 31])
def test_contrasts_of_ideal_intensities_are_four_times_the_coded_fields(kind: str, outputs: int) -> None:
    c = np.random.default_rng(outputs).normal(size=outputs)
    flips = Flips.named(kind, outputs)
    intensities = np.empty(len(flips))
    for k in range(len(flips)):
        h = np.ones(outputs)
        h[flips.indices[flips.offsets[k] : flips.offsets[k + 1]]] = -1
        intensities[k] = ((c + h) ** 2).sum()
    np.testing.assert_allclose(flips.contrasts(intensities), 4 * c, atol=1e-12)


def test_pattern_zero_flips_nothing() -> None:
    for kind in ("single", "hadamard"):
        flips = Flips.named(kind, 6)
        assert flips.offsets[0] == flips.offsets[1] == 0


def test_hadamard_flips_promise_less_shot_noise_than_single_flips() -> None:
    single, coded = Flips.single(196), Flips.hadamard(196)
    one = single.predicted_noise(np.full(197, 744e3), 744e3 / 2000)
    all_ = coded.predicted_noise(np.full(256, 744e3), 744e3 / 2000)
    assert one[0] == pytest.approx(0.25 * 2000 * np.sqrt(2 / 744e3))  # the sheet's formula
    assert one[0] / all_[0] == pytest.approx(np.sqrt(256 / 2), rel=1e-12)  # and its eleven


def test_a_layer_with_more_outputs_than_bands_is_split_and_complete() -> None:
    table = alignment(bands=4)
    layer, strip = Layer.dense(np.ones((3, 10)), np.zeros(10)), Strip.on(table, 120, 10, 2)
    single = LayerEncoding(layer, table, strip, flips="single")
    assert [list(p.outputs) for p in single.passes] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    coded = LayerEncoding(layer, table, strip, flips="hadamard")  # four outputs take twice the patterns of three
    assert [list(p.outputs) for p in coded.passes] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_unused_bands_are_dark() -> None:
    table = alignment(bands=5)
    encoding = LayerEncoding(Layer.dense(np.ones((3, 2)), np.ones(2)), table, Strip.on(table, 120, 4, 2))
    sequence = encoding.sequence(encoding.passes[0], np.ones(3, np.int8))
    assert np.abs(axis_fields(patterns(sequence)[:1], table, 2)[0, 2:]).max() < 1e-12


def test_all_zero_couplings_are_encoded_without_division_by_zero() -> None:
    table = alignment()
    encoding = LayerEncoding(Layer.dense(np.zeros((3, 12)), np.zeros(12)), table, Strip.on(table, 120, 12, 2))
    assert encoding.wmax == 0
    assert np.isfinite(encoding.passes[0].angles).all()


def test_reference_patterns_have_their_stated_intensities() -> None:
    table = alignment()
    strip = Strip.on(table, 120, 9, 2)
    sequence = reference_sequence(table, strip, 12, 3, 9, "centre", 2)
    intensities = (np.abs(axis_fields(patterns(sequence), table, 2)) ** 2).sum(axis=1)
    np.testing.assert_allclose(intensities, [12 * 16, 12 * 4, 0] * 2, atol=1e-10)


def test_reference_patterns_light_every_place_of_the_strip_in_the_mean() -> None:
    table = alignment(bands=200)
    strip = Strip.on(table, 120, 9, 2)
    sequence = reference_sequence(table, strip, 200, 3, 9, "centre", 1)
    lit = (np.abs(np.asarray(sequence.base) - np.pi / 2) < 1e-9).mean(axis=0)
    used = np.delete(np.arange(22), [12, 13])  # without the output spin, which is lit everywhere
    assert lit[used].min() > 0.15


def test_the_dark_panel_sends_nothing_to_the_axis() -> None:
    field = np.exp(1j * dark_panel(alignment(), 40, 120))
    assert abs(field[3:5].sum()) < 1e-10


@pytest.mark.parametrize("output_at", ["centre", "end"])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_macro_pixels_of_a_layer_do_not_collide(output_at: str, n: int) -> None:
    inputs, auxiliary, output = macro_pixel_places(n, 12, output_at)
    places = [*inputs, auxiliary, output]
    assert len(set(places)) == n + 2
    assert min(places) >= 0
    assert max(places) < 12


def test_a_layer_too_wide_for_the_panel_is_refused_with_the_largest_that_fits() -> None:
    with pytest.raises(ConfigurationError, match="at most 58 spins"):
        Strip.on(alignment(), 120, 59, 2)
    assert Strip.on(alignment(), 120, 58, 2).first_column == 0


def test_gains_of_the_bands_fall_as_one_over_wavelength_squared() -> None:
    gains = alignment(bands=12).band_gains(12)
    assert gains.mean() == pytest.approx(1.0)
    assert gains[0] / gains[-1] == pytest.approx(((588 + 1.1) / 588) ** 2)
