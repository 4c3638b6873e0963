"""The map of a blazed order: what it finds is the table's truth, and what it makes possible are right local fields."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from interval_coverage import COVERED, SOAK_TABLES, TABLES, Measured, Quantity, undrawn
from order_small import BENCH, COLUMNS, SMALL, seen_from, stand_on_truth

from calibration.order_map import OrderMap
from calibration.prbm_strip import blaze_of
from labctl.client import CalibrationError, ConfigurationError
from labctl.experiments.calibrate import Calibrated, calibrate
from labctl.experiments.check_up import check_bench
from labctl.experiments.execute import execute
from labctl.store import Store
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.truth import hidden_table

SHORT = {"cells": (7, 7), "groups": (3, 3), "lit": 2, "trained": 6, "repeats": 6}


def mapped(folder: Path, seed: int, **given: object) -> tuple[Calibrated, PrbmParameters, Mapping[str, object]]:
    """The routine's result on one reduced table, in force, with the table's parameters and what the bench was given."""
    bench = {**SMALL, "world.seed": seed, "calibrations.folder": str(folder / f"store-{seed}")}
    parameters = stand_on_truth(folder / f"store-{seed}", bench)
    done = calibrate("illumination", BENCH, {**bench, **SHORT, **given}, out=folder)
    return done, parameters, bench


@cache
def _mapped_once(folder: Path) -> Mapping[str, object]:
    """What the bench was given of a table that was mapped, once for all tests."""
    return mapped(folder, 5)[2]


def mapped_before(tmp_path_factory: pytest.TempPathFactory, own: Path) -> dict[str, object]:
    """What a bench is given whose map is in force, with a store of its own."""
    bench = _mapped_once(tmp_path_factory.getbasetemp() / "of illumination")
    shutil.copytree(str(bench["calibrations.folder"]), own)
    return {**bench, "calibrations.folder": str(own)}


def compare(done: Calibrated, p: PrbmParameters) -> list[Quantity]:
    """Phase and amplitude where the strip ends, and the reach of fringing fields."""
    found = done.calibrations[0]
    order, truth = OrderMap.of(found), hidden_table(p)
    band = order.bands // 2
    rows = order.first_row + order.rows_per_band * band + np.arange(order.rows_per_band)
    light = seen_from(p, order.pixel, rows)
    columns = np.array([40, COLUMNS - 41])
    wavelengths = order.row_wavelengths_m[order.rows_per_band * band :][: order.rows_per_band]
    shown = light * np.exp(
        1j * blaze_of(wavelengths, np.arange(COLUMNS), order.centre_column, order.period_px, order.at_wavelength_m)
    )
    places = np.abs(order.band_places - band).argmin(), [int(np.abs(order.columns - c).argmin()) for c in columns]
    at = order.columns[places[1]].round().astype(int)
    shown = shown.mean(axis=0)
    true = shown[at] / shown[COLUMNS // 2]
    off = np.angle(true * np.exp(-1j * order.phase_rad[places[0], places[1]]))
    error = found.uncertainty("phase")[places[0], places[1]]
    of_amplitude = found.uncertainty("amplitude")[places[0], places[1]]
    quantities = [
        Quantity(f"phase at {side}", float(off[k]), float(error[k]), 0.0) for k, side in enumerate(("left", "right"))
    ]
    quantities += [
        Quantity(
            f"amplitude at {side}",
            float(order.amplitude[places[0], places[1][k]]),
            float(of_amplitude[k]),
            float(np.abs(true[k])),
        )
        for k, side in enumerate(("left", "right"))
    ]
    reach = found.uncertainty("crosstalk_px")
    quantities.append(Quantity("crosstalk", order.crosstalk_px[1], float(reach[1]), truth.panel.crosstalk_px[1]))
    return quantities


def _must_hold(folder: Path, tables: int) -> None:
    measured = Measured("illumination")
    checks = []
    for seed in range(100, 100 + tables):
        with nullcontext() if seed == 100 else undrawn():
            done, p, _ = mapped(folder, seed)
        measured.add(compare(done, p))
        checks.append({c.name: c.value for c in done.calibrations[0].checks})
    if tables >= SOAK_TABLES:
        COVERED.append(measured)
    measured.must_cover()
    assert np.median([c["correlation of sums that were not fitted"] for c in checks]) > 0.995
    assert measured.median_error("phase at left") < 0.05
    assert measured.median_relative_error("amplitude at left") < 0.05


def test_phases_amplitudes_and_fringing_fields_are_told_with_their_uncertainty(tmp_path: Path) -> None:
    # False alarm 0.003 for each quantity; seeds from 100 on.
    _must_hold(tmp_path, TABLES)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_phases_amplitudes_and_fringing_fields_on_many_tables(tmp_path: Path) -> None:
    _must_hold(tmp_path, SOAK_TABLES)


def test_local_fields_are_read_in_the_mapped_order(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    bench = mapped_before(tmp_path_factory, tmp_path / "store")
    fields = {"N": 12, "repeats": 1, "averages": 2}
    after = execute("labctl.figures", "prbm.local-fields", BENCH, {**bench, **fields}, out=tmp_path).values
    assert after["r"] > 0.998
    # Twelve fields tell the slope to 0.01; warm-up between unit and fields adds as much.
    assert after["slope"] == pytest.approx(1.0, abs=0.04)
    single = execute(
        "labctl.figures", "prbm.local-fields", BENCH, {**bench, **fields, "flips": "single"}, out=tmp_path
    ).values
    assert single["r"] > 0.98


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.source.tripped": True}, "does not emit|interlock"),
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"world.slm.stuck": True}, "SLM shows what it is sent|beam blocks"),
        ({"cells": (31,), "groups": (3,)}, "too few"),
    ],
)
def test_bad_light_is_told_and_nothing_is_kept(tmp_path: Path, given: Mapping[str, object], cause: str) -> None:
    folder = tmp_path / "store-7"
    bench = {**SMALL, "world.seed": 7, "calibrations.folder": str(folder)}
    stand_on_truth(folder, bench)
    store = Store(folder)
    before = sorted(c.name for c in (folder / "files").iterdir()), list(store.uses())
    with pytest.raises(CalibrationError, match=cause):
        calibrate("illumination", BENCH, {**bench, **SHORT, **given}, out=tmp_path)
    assert (sorted(c.name for c in (folder / "files").iterdir()), list(store.uses())) == before


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"cells": (7,)}, "one of each for every round"),
        ({"cells": (7, 1)}, "cells"),
        ({"slit": 30}, "an odd number of pixels"),
        ({"nonsense": 1}, r"no such parameter\. Allowed: "),
    ],
    ids=["rounds", "one cell", "slit", "unknown"],
)
def test_parameters_that_make_no_sense_are_told_before_anything_is_measured(
    tmp_path: Path, given: Mapping[str, object], cause: str
) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        calibrate("illumination", BENCH, dict(given), out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_check_passes_where_nothing_moved_and_flags_light_that_moved(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    bench = mapped_before(tmp_path_factory, tmp_path / "store")
    still = list(check_bench(BENCH, ["illumination"], bench, out=tmp_path))
    assert [c.state for c in still] == ["holds"]
    # Some camera pixels, by warmth: what was in phase at the pixel no longer is.
    moved = {**bench, "world.elapsed": "2 h", "world.hidden.pointing_per_kelvin": "1 mrad"}
    flagged = list(check_bench(BENCH, ["illumination"], moved, out=tmp_path))
    assert [c.state for c in flagged] == ["drifted"]
