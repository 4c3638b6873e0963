"""What a seed plants: it repeats, it differs from seed to seed, it is found by its own handle and by no other."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prbm_table import lit_world, parameters
from pydantic import ValidationError

from labctl.bench.load import load_bench
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.hidden import HiddenParameters
from simulators.worlds.prbm.truth import HiddenTable, hidden_table

KEPT_WHEN_OFF = {"stated", "preset", "camera_flip", "warm_up_time", "kink_electrons", "front_wedge", "front_coherence"}
AMPLITUDES = sorted(set(HiddenParameters.model_fields) - KEPT_WHEN_OFF)


def planted(table: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and array of a truth by its path."""
    for field in dataclasses.fields(table):  # type: ignore[arg-type]
        value = getattr(table, field.name)
        if dataclasses.is_dataclass(value):
            yield from planted(value, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", np.asarray(value, float)


def table(seed: int = 7, **hidden: Any) -> HiddenTable:
    return hidden_table(parameters(seed=seed, hidden={"preset": "typical"} | hidden))


def same(one: HiddenTable, other: HiddenTable) -> set[str]:
    return {
        path
        for (path, a), (_, b) in zip(planted(one), planted(other), strict=True)
        if a.shape == b.shape and np.array_equal(a, b)
    }


def test_one_seed_plants_one_truth() -> None:
    hidden_table.cache_clear()
    first = table()
    hidden_table.cache_clear()
    assert same(first, table()) == {path for path, _ in planted(first)}


def test_every_drawn_truth_differs_from_seed_to_seed() -> None:
    given = {
        "panel.lut_wavelength_m",
        "panel.flicker_share",
        "panel.dead_reflectance",
        "panel.axis_reflectance",
        "panel.front_reflectance",
        "panel.front_coherence",
        "geometry.flip",
        "source.warm_up_s",
        "source.slow_amplitude",
        "source.pulse_noise",
        "sensor.prnu",
        "sensor.dsnu_e",
        "sensor.dsnu_columns_e",
        "sensor.kink_e",
    }
    assert same(table(7), table(8)) == given


@pytest.mark.parametrize("off", [0, False, "0 %"])
def test_an_imperfection_that_is_switched_off_leaves_the_others_as_they_were(off: Any) -> None:
    changed = {path for path, _ in planted(table())} - same(table(), table(spectrum=off))
    assert changed == {"spectrum.shape"}
    assert not table(spectrum=off).spectrum.shape.any()


@pytest.mark.parametrize("name", AMPLITUDES)
def test_each_one_can_be_switched_off_and_on_alone(name: str) -> None:
    assert getattr(HiddenParameters.model_validate({"preset": "typical", name: 0}), name) == 0
    alone = HiddenParameters.model_validate({name: _typical(name)})
    switched_on = {other for other in AMPLITUDES if getattr(alone, other)}
    assert switched_on == {name}


def _typical(name: str) -> Any:
    value = getattr(HiddenParameters.model_validate("typical"), name)
    units = {"flicker": "rad", "aberration": "rad", "axis_error": "rad", "camera_rotation": "rad"}
    units |= {"lut_wavelength": "m", "temperature_drift": "K", "pointing_per_kelvin": "rad"}
    return f"{value} {units[name]}" if name in units else value


@pytest.mark.parametrize("nothing", ["none", None, False, {}, {"preset": "none"}])
def test_nothing_hidden_is_the_plain_table(nothing: Any) -> None:
    hidden = parameters(hidden=nothing).hidden
    assert not any([hidden.panel, hidden.sensor, hidden.source])
    assert hidden == PrbmParameters().hidden


def test_the_ideal_table_hides_nothing() -> None:
    assert parameters(ideal=True, hidden="typical").hidden == PrbmParameters().hidden


def test_a_word_stands_for_the_section() -> None:
    assert parameters(hidden="typical") == parameters(hidden={"preset": "typical"})


@pytest.mark.parametrize("wrong", ["typicl", {"crosstalk": 5}, {"lut_eror": 1}, {"flicker": 0.05}, {"dust": "many"}])
def test_a_wrong_section_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        parameters(hidden=wrong)


def test_truths_stay_within_what_was_asked_for() -> None:
    for seed in range(20):
        t = table(seed)
        assert np.abs(t.geometry.shift_px).max() <= 20
        assert abs(t.geometry.rotation_rad) <= np.deg2rad(1.001)
        assert abs(t.geometry.scale - 1) <= 0.02
        assert abs(t.spectrum.row_offset) <= 3
        assert np.abs(np.array(t.spectrum.coupling) / 0.25 - 1).max() <= 0.3
        assert 5 <= len(t.panel.dust) <= 20
        assert 0.14 < min(t.panel.crosstalk_px) < max(t.panel.crosstalk_px) < 0.2
        assert 0.25 <= abs(t.kelvin_per_hour) <= 0.5


def test_the_lab_bench_is_the_simulated_one_with_a_hidden_table(repository: Path) -> None:
    lab, plain = (load_bench(repository / "benches" / f"{name}.toml") for name in ("prbm-lab", "prbm-sim"))
    assert isinstance(lab.world_parameters, PrbmParameters)
    assert isinstance(plain.world_parameters, PrbmParameters)
    assert lab.world_parameters == plain.world_parameters.model_copy(
        update={"hidden": HiddenParameters.model_validate("typical")}
    )
    assert lab.devices == plain.devices


def test_no_operation_of_the_world_speaks_of_the_truth() -> None:
    world = lit_world(hidden="typical")
    for name, member in inspect.getmembers(PrbmWorld, inspect.isfunction):
        if not name.startswith("_"):
            assert "Truth" not in str(inspect.signature(member))
            assert "HiddenTable" not in str(inspect.signature(member))
    reachable = [v for k, v in vars(world).items() if not k.startswith("_")]
    assert not any(isinstance(v, HiddenTable) for v in reachable)
    assert not any("Truth" in type(v).__name__ for v in reachable)
    # What devices get of the parameters are the seed and how large things may be.
    numbers = {float(v) for v in world.parameters.hidden.model_dump().values() if isinstance(v, (int, float))}
    drawn = [a for path, a in planted(hidden_table(world.parameters)) if path.startswith("geometry.shift")]
    assert not numbers & {float(x) for a in drawn for x in a.ravel()}
