"""Playing: fields shared among macro-pixels, of which alone the panel changes, and pieces by light and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.prbm.light.alignment import PrbmAlignment
from protocols.prbm.light.encoding import LayerEncoding, Strip
from protocols.prbm.light.sampling import ExactSampler
from protocols.prbm.music.compose import Player, compose_exactly
from protocols.prbm.music.conditioned import FIELD_TO_COUPLING, MOST_FIELD_SPINS, ConditionedLayers
from protocols.prbm.music.model import RnnRbm, shapes_of


def random_model(seed: int, n_visible: int = 10, n_hidden: int = 6, units: int = 4) -> RnnRbm:
    rng = np.random.default_rng(seed)
    sizes = (0.3, 2.0, 0.3, 1.0, 0.5, 0.3, 0.3, 0.3)
    shapes = shapes_of(n_visible, n_hidden, units)
    return RnnRbm(*(rng.normal(0, size, shape) for size, shape in zip(sizes, shapes, strict=True)))


def test_layers_have_the_models_fields_for_every_piece() -> None:
    m, rng = random_model(0), np.random.default_rng(1)
    layers = ConditionedLayers(m, 3, (6.0, 2.0))
    u = rng.uniform(-1, 1, (3, 4))
    a, b = np.clip(m.fields(u)[0], -6, 6), np.clip(m.fields(u)[1], -2, 2)
    v, h = rng.choice(np.array([-1, 1], np.int8), (3, 10)), rng.choice(np.array([-1, 1], np.int8), (3, 6))
    found = layers.layers(a, b)
    hidden = found["hidden"].local_fields(layers.given("hidden", v)).reshape(3, 6)
    visible = found["visible"].local_fields(layers.given("visible", h)).reshape(3, 10)
    assert hidden == pytest.approx(v @ m.weights + b)
    assert visible == pytest.approx(h @ m.weights.T + a)
    assert layers.limited == 0


def test_no_macro_pixel_shows_more_of_a_field_than_is_good_for_the_couplings() -> None:
    m = random_model(2)
    layers = ConditionedLayers(m, 1, (4.0, 0.01))
    found = layers.layers(np.full((1, 10), 20.0), np.zeros((1, 6)))
    coupling = np.abs(m.weights).max()
    assert found["visible"].largest <= FIELD_TO_COUPLING * coupling
    assert layers.field_spins["hidden"] == 1
    assert layers.limited == 10  # 20 is shown as 4
    h = np.ones((1, 6), np.int8)
    assert found["visible"].local_fields(layers.given("visible", h)) == pytest.approx(m.weights.sum(axis=1) + 4.0)


def test_fields_far_beyond_the_couplings_do_not_take_all_the_light() -> None:
    m = random_model(8)
    layers = ConditionedLayers(m, 1, (100.0, 100.0))
    assert set(layers.field_spins.values()) == {MOST_FIELD_SPINS}


def test_from_step_to_step_only_the_fields_macro_pixels_are_rewritten() -> None:
    m = random_model(3)
    layers = ConditionedLayers(m, 2, (6.0, 2.0))
    rng = np.random.default_rng(4)
    first, then = (layers.layers(rng.uniform(-5, 5, (2, 10)), rng.uniform(-2, 2, (2, 6))) for _ in range(2))
    alignment = PrbmAlignment.model_validate(
        {
            "first_row": 10, "rows_per_band": 2, "bands": 40, "centre_column": 200,
            "zeroth_order": {"row": 100, "column": 100}, "wavelength_first": 588.0, "wavelength_per_band": 0.1,
        }
    )  # fmt: skip
    for name in ("visible", "hidden"):
        width = first[name].width
        strip = Strip.on(alignment, 400, width, 2)
        encoding = LayerEncoding(first[name], alignment, strip)
        spins = rng.choice(np.array([-1, 1], np.int8), first[name].n_inputs)
        before = encoding.sequence(encoding.passes[0], spins).base
        encoding.program(then[name])
        after = encoding.sequence(encoding.passes[0], spins).base
        columns = np.unique(np.nonzero(before != after)[1] // 2)
        assert len(columns) == layers.field_spins[name]


def test_pieces_by_a_player_are_as_likely_as_those_of_plain_arithmetic() -> None:
    m = random_model(5, n_visible=5, n_hidden=3, units=3)
    pieces = 3000
    layers = ConditionedLayers(m, pieces, (50.0, 50.0))
    player = Player(m, layers, ExactSampler(layers.silent(), 1.0))
    rng = np.random.default_rng(6)
    played = np.stack([player.play(12, rng)[0] for _ in range(3)], axis=1)
    plain = compose_exactly(m, pieces, 3, 12, np.random.default_rng(7))
    # 15 means and 10 products of keys one step apart, each at 5 standard errors of a difference: false alarm 2e-5.
    bound = 5 * np.sqrt(2 / pieces)
    assert played.mean(axis=0) == pytest.approx(plain.mean(axis=0), abs=bound)
    together = [(p[:, 1:] * p[:, :-1]).mean(axis=0) for p in (played.astype(float), plain.astype(float))]
    assert together[0] == pytest.approx(together[1], abs=bound)
