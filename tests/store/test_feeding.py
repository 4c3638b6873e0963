"""Devices get what is in force, over the bus nobody can tell how, and what does not hold is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from table import (
    CAMERA,
    COLUMNS,
    ROWS,
    SENSOR_COLUMNS,
    SENSOR_ROWS,
    YESTERDAY,
    calibration,
    dark,
    flat,
    phase_table,
    power_curve,
    store_of,
    write_bench,
)

from drivers.contract import Identity
from labctl import open_bench
from labctl.client import ROI, CalibrationError, LimitError, Measured, correct
from labctl.store import Calibration

Put = Callable[[Calibration], str]


@pytest.fixture
def put(bench_file: Path) -> Put:
    """Keeps a calibration and puts it in force."""

    def keep(c: Calibration) -> str:
        store = store_of(bench_file)
        found = store.add(c)
        store.use(found)
        return found

    return keep


HALF_TURN = np.full((ROWS, COLUMNS), np.pi)


# --- fed ----------------------------------------------------------------------------------------------------------


def test_without_calibrations_nothing_is_there_and_no_folder_is_made(bench_file: Path) -> None:
    with open_bench(bench_file) as bench, bench.control():
        assert [device.calibration_ids for device in bench.devices.values()] == [{}] * 4
        bench.slm.write(HALF_TURN)
        assert (bench.slm.read_back() == 128).all()
        assert bench.calibrations().in_force == ()
    assert not (bench_file.parent / "kept").exists()


def test_devices_are_fed_when_they_are_built_and_their_ids_are_in_the_snapshot(bench_file: Path, put: Put) -> None:
    ids = [put(c) for c in (dark(), flat(), phase_table(), power_curve())]
    with open_bench(bench_file) as bench:
        snapshot = bench.snapshot()
        assert snapshot["camera"]["calibration_ids"] == {"dark": ids[0], "flat": ids[1]}
        assert snapshot["slm"]["calibration_ids"] == {"phase_table": ids[2]}
        assert snapshot["source"]["calibration_ids"] == {"power_curve": ids[3]}
        bench.slm.write(HALF_TURN)
        assert (bench.slm.read_back() == 64).all()  # two turns in 256 levels
        bench.source.power_fraction = 0.25
        assert bench.source.emitted_w() == pytest.approx(10e-3)
        assert bench.source.set_point_for(20e-3) == pytest.approx(0.5)
        frame = bench.camera.trigger()
        corrected = correct(frame, bench.camera.correction())
        np.testing.assert_allclose(corrected.counts, (frame.data - 100.0) / 2.0)
        assert corrected.calibration_ids == {"dark": ids[0], "flat": ids[1]}


def test_a_sequence_is_played_with_the_table_in_force(bench_file: Path, put: Put) -> None:
    from labctl.client import Sequence

    put(phase_table())
    sequence = Sequence(
        base=HALF_TURN, base_origin=(0, 0), patches=np.full((1, 2, 3), np.pi / 2), offsets=np.array([0, 1], np.int32),
        patch_origins=np.array([[4, 5]], np.int32), indices=np.array([0], np.int32),
    )  # fmt: skip
    shown = []
    for timing in ("hardware", "software"):
        with open_bench(bench_file) as bench, bench.control():
            bench.sequencer.timing = timing
            bench.sequencer.play(sequence, [ROI(row=0, column=0, rows=4, columns=4)])
            shown.append(np.array(bench.slm.read_back()))
    np.testing.assert_array_equal(shown[0], shown[1])
    assert (shown[0][4:6, 5:8] == 32).all()
    assert (shown[0] == 64).sum() == ROWS * COLUMNS - 6


def test_a_sequence_is_summed_in_corrected_counts_where_that_is_asked_for(bench_file: Path, put: Put) -> None:
    from labctl.client import Sequence

    sequence = Sequence(
        base=HALF_TURN, base_origin=(0, 0), patches=np.zeros((1, 2, 3)), offsets=np.array([0, 0, 1], np.int32),
        patch_origins=np.array([[4, 5]], np.int32), indices=np.array([0], np.int32),
    )  # fmt: skip
    windows = [ROI(row=0, column=0, rows=4, columns=4), ROI(row=10, column=20, rows=3, columns=5)]
    with open_bench(bench_file) as bench:
        with bench.control(), pytest.raises(CalibrationError, match="no dark is in force"):
            bench.sequencer.play(sequence, windows, corrected=True)
        put(dark())
        put(flat())
        put(calibration("hot_pixels", "camera", CAMERA, {"pixels": Measured(np.array([[11, 22]]), "px")}))
        played = {}
        for timing in ("hardware", "software"):
            for corrected in (False, True):
                with bench.control():
                    bench.sequencer.timing = timing
                    played[timing, corrected] = bench.sequencer.play(sequence, windows, "camera", True, corrected)
                    maps = bench.camera.correction()
        raw, done = played["hardware", False], played["hardware", True]
        counts = (np.asarray(raw.frames) - 100.0) / 2.0
        hole = counts[:, 10:13, 21:24].reshape(2, 9)
        counts[:, 11, 22] = np.delete(hole, 4, axis=1).mean(axis=1)
        np.testing.assert_allclose(done.frames, counts)
        np.testing.assert_allclose(done.signal[:, 1], counts[:, 10:13, 20:25].sum(axis=(1, 2)))
        np.testing.assert_allclose(played["software", True].signal, done.signal)
        assert maps.calibration_ids.keys() == {"dark", "flat", "hot_pixels"}
        with bench.control():
            bench.camera.binning = 2
            with pytest.raises(LimitError, match="binning = 1"):
                bench.sequencer.play(sequence, windows, corrected=True)


def test_a_session_begins_with_what_is_in_force_then(bench_file: Path, put: Put) -> None:
    with open_bench(bench_file) as bench:
        with bench.control():
            first = put(phase_table())
            assert bench.slm.calibration_ids == {}  # a session keeps what it began with
        with bench.control():
            assert bench.slm.calibration_ids == {"phase_table": first}
        second = put(phase_table(1.5))
        with bench.control(devices=["camera"]):
            assert bench.slm.calibration_ids == {"phase_table": first}
        with bench.control(devices=["slm"]):
            assert bench.slm.calibration_ids == {"phase_table": second}
        store_of(bench_file).withdraw("small", "slm", "phase_table")
        with bench.control():
            assert bench.slm.calibration_ids == {}
            bench.slm.write(HALF_TURN)
            assert (bench.slm.read_back() == 128).all()


def test_other_benches_and_roles_are_not_fed(bench_file: Path) -> None:
    store = store_of(bench_file)
    made = store.add(phase_table())
    store.use(made, bench="large")
    store.use(made, role="slm2")
    with open_bench(bench_file) as bench, bench.control():
        assert bench.slm.calibration_ids == {}


def test_clients_cannot_set_a_calibration(bench_file: Path) -> None:
    with open_bench(bench_file) as bench, bench.control():
        with pytest.raises(AttributeError, match="phase_table"):
            bench.slm.phase_table = None
        with pytest.raises(LimitError, match="read-only"):
            bench.slm.calibration_ids = {}


# --- refused ------------------------------------------------------------------------------------------------------

OTHER = Identity(model=CAMERA.model, serial="sim-camera-8", firmware="labctl")
REFUSED = {
    "stale": (dark(valid_until=YESTERDAY), "is stale: it was valid until"),
    "foreign": (dark(devices={"camera": OTHER}), "is foreign: it was measured with camera = .*sim-camera-8"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_hold_is_refused_with_the_command_to_run(bench_file: Path, put: Put, what: str) -> None:
    c, told = REFUSED[what]
    put(c)
    with open_bench(bench_file) as bench:
        with (
            pytest.raises(CalibrationError, match=f"camera: .*{told}.*labctl calibrate made-up.dark --bench") as error,
            bench.control(),
        ):
            pass
        assert f'accept = ["{what}"]' in str(error.value)
        assert str(bench_file) in str(error.value)
        assert bench.status()["main"]["leases"] == []
        with pytest.raises(CalibrationError, match=told):  # nor without control
            bench.camera.correction()
        assert bench.camera.calibration_ids == {}
        bench.camera.trigger()
        with bench.control(devices=["slm"]):  # others are not held up
            bench.slm.write(HALF_TURN)


def test_a_refused_table_keeps_the_slm_from_showing_phase(bench_file: Path, put: Put) -> None:
    put(phase_table(valid_until=YESTERDAY))
    with open_bench(bench_file) as bench:
        with pytest.raises(CalibrationError, match="is stale"):
            bench.slm.write(HALF_TURN)
        bench.slm.write_gray(np.zeros((ROWS, COLUMNS), np.uint8))


@pytest.mark.parametrize("what", REFUSED)
def test_the_bench_file_may_accept_what_would_be_refused(tmp_path: Path, what: str) -> None:
    path = write_bench(tmp_path, f'accept = ["{what}"]')
    store = store_of(path)
    made = store.add(REFUSED[what][0])
    store.use(made)
    with open_bench(path) as bench, bench.control():
        assert bench.camera.calibration_ids == {"dark": made}
        assert bench.calibration("dark").id == made


def test_to_accept_one_thing_is_not_to_accept_the_other(tmp_path: Path) -> None:
    path = write_bench(tmp_path, 'accept = ["stale"]')
    store_of(path).use(store_of(path).add(dark(valid_until=YESTERDAY, devices={"camera": OTHER})))
    with (
        open_bench(path) as bench,
        pytest.raises(CalibrationError, match="is foreign") as error,
        bench.control(),
    ):
        pass
    assert "is stale" not in str(error.value)


def test_another_seed_is_another_table(bench_file: Path, put: Put) -> None:
    put(dark())
    with (
        open_bench(bench_file, {"world.seed": 8}) as bench,
        pytest.raises(CalibrationError, match=r"sim-camera-7.*the bench has .*sim-camera-8"),
        bench.control(),
    ):
        pass


def test_a_session_that_calibrates_does_without_what_is_refused(bench_file: Path, put: Put) -> None:
    put(phase_table(valid_until=YESTERDAY))
    good = put(dark())
    with open_bench(bench_file) as bench:
        with bench.control(calibrating=True):
            assert bench.slm.calibration_ids == {}
            assert bench.camera.calibration_ids == {"dark": good}
            bench.slm.write(HALF_TURN)
            assert (bench.slm.read_back() == 128).all()
        with pytest.raises(CalibrationError, match="is stale"), bench.control():
            pass


def test_every_refusal_is_told_at_once(bench_file: Path, put: Put) -> None:
    put(phase_table(valid_until=YESTERDAY))
    put(REFUSED["foreign"][0])
    with open_bench(bench_file) as bench, pytest.raises(CalibrationError) as error, bench.control():
        pass
    assert len(str(error.value).splitlines()) == 2


WRONG: list[tuple[Calibration, str]] = [
    (phase_table(levels=128), r"phases of shape \(1, 1, 128\)"),
    (calibration("dark", "camera", CAMERA, {"offset": Measured(1.0)}), "no argument|has no|needs offset_counts"),
    (
        calibration(
            "flat", "camera", CAMERA, {"response": Measured(np.zeros((SENSOR_ROWS, SENSOR_COLUMNS)))}
        ),
        "mark dead pixels",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "told"), WRONG, ids=["levels", "names", "values"])
def test_what_does_not_fit_the_device_is_refused_whatever_is_accepted(
    tmp_path: Path, wrong: Calibration, told: str
) -> None:
    path = write_bench(tmp_path, 'accept = ["stale", "foreign"]')
    store_of(path).use(store_of(path).add(wrong))
    with (
        open_bench(path) as bench,
        pytest.raises(CalibrationError, match=f"cannot be used: .*({told})"),
        bench.control(),
    ):
        pass


def test_an_edited_calibration_is_refused(bench_file: Path, put: Put) -> None:
    made = put(dark())
    path = store_of(bench_file).path / "files" / f"{made}.h5"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with open_bench(bench_file) as bench:
        with pytest.raises(CalibrationError, match=r"truncated or edited; restore it"), bench.control():
            pass
        with pytest.raises(CalibrationError, match="truncated or edited"):
            bench.slm.write(HALF_TURN)  # it is not known what is in force
        with bench.control(calibrating=True):
            bench.slm.write(HALF_TURN)


# --- for experiments ----------------------------------------------------------------------------------------------


def test_experiments_get_values_with_units_and_uncertainties(bench_file: Path, put: Put) -> None:
    made = put(calibration("slm-camera", "camera", CAMERA, {"matrix": Measured(np.eye(3), "px", 0.05)}))
    with open_bench(bench_file) as bench:
        c = bench.calibration("slm-camera")
        assert (c.id, c.values["matrix"].unit) == (made, "px")
        np.testing.assert_array_equal(c["matrix"], np.eye(3))
        assert bench.calibration("camera.slm-camera").id == made
        assert bench.calibration("slm-camera") is c  # sent once
        assert bench.calibrations().folder == bench_file.parent / "kept"


def test_what_is_missing_is_told_with_the_routine_that_measures_it(bench_file: Path) -> None:
    with open_bench(bench_file) as bench:
        with pytest.raises(
            CalibrationError,
            match=r"bench small: no calibration dark is in force; .*`labctl calibrate camera.dark --bench .*small.toml",
        ):
            bench.calibration("dark")
        with pytest.raises(CalibrationError, match=r"no routine measures it .*labctl calibrations use ID"):
            bench.calibration("philosophers-stone")


@pytest.mark.parametrize("what", REFUSED)
def test_experiments_do_not_get_what_does_not_hold(bench_file: Path, put: Put, what: str) -> None:
    put(REFUSED[what][0])
    with open_bench(bench_file) as bench, pytest.raises(CalibrationError, match=f"is {what}.*labctl calibrate"):
        bench.calibration("camera.dark")


def test_a_kind_that_several_devices_have_must_be_named_with_its_role(bench_file: Path) -> None:
    store = store_of(bench_file)
    made = store.add(dark())
    store.use(made)
    store.use(made, role="camera2")
    with open_bench(bench_file) as bench:
        with pytest.raises(CalibrationError, match=r"several.*camera\.dark, camera2\.dark; say which"):
            bench.calibration("dark")
        assert bench.calibration("camera.dark").id == made


def test_bytes_that_changed_on_the_way_are_refused(bench_file: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put(dark())
    from labctl.server.feeding import Feeder

    def edited(self: Feeder, calibration_id: str) -> Any:
        data = np.frombuffer(self.store.read(calibration_id), np.uint8).copy()
        data[-1] ^= 1
        return data

    monkeypatch.setattr(Feeder, "file", edited)
    with open_bench(bench_file) as bench, pytest.raises(CalibrationError, match=r"what the server sent .* is not what"):
        bench.calibration("dark")
