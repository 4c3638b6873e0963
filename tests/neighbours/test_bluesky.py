"""A real RunEngine scans a simulated bench; however a plan ends, its light is off and nobody is in control."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest
from bluesky import RunEngine, protocols
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.utils import FailedStatus, RunEngineInterrupted

from drivers.contract import ROI, LeaseError, LimitError, Sequence
from labctl.bluesky import Lab, open_lab


@pytest.fixture
def lab(bench_file: Path) -> Iterator[Lab]:
    with open_lab(bench_file, images=False) as opened:
        yield opened


@pytest.fixture
def RE() -> RunEngine:
    return RunEngine({}, call_returns_result=True)


def leases(lab: Lab) -> list[dict[str, Any]]:
    return [lease for server in lab.bench.status().values() for lease in server["leases"]]


def lit_scan(lab: Lab, points: int = 3, pause: bool = False) -> Iterator[Any]:
    yield from bps.mv(lab.pump.emission, True)
    if pause:
        yield from bps.pause()
    yield from bp.scan([lab.camera, lab.meter], lab.pump.power_w, 1.0, 3.0, points)


def dark_and_free(lab: Lab) -> bool:
    return not lab.bench.pump.emission and not leases(lab)


def test_devices_are_what_bluesky_calls_them(lab: Lab) -> None:
    assert isinstance(lab.camera, protocols.Triggerable)
    assert isinstance(lab.camera, protocols.Flyable)
    assert isinstance(lab.camera, protocols.EventCollectable)
    assert isinstance(lab.pump, protocols.Movable)
    assert isinstance(lab.slm, protocols.Movable)
    assert isinstance(lab.pump.power_w, protocols.Locatable)
    assert isinstance(lab.pump.power_w, protocols.Checkable)
    assert not isinstance(lab.camera.rows, protocols.Movable)
    assert isinstance(lab, protocols.Stageable)
    for one in (lab.camera, lab.meter, lab.pump, lab.slm, lab.pump.emission, lab.camera.rows):
        assert isinstance(one, protocols.Readable)
        assert isinstance(one, protocols.Pausable)
        assert isinstance(one, protocols.HasHints)
    assert lab.pump.power_w.limits == (0, 5.0)
    assert lab.pump.power_w.units == "W"


def test_a_scan_writes_documents_and_leaves_the_table_dark(lab: Lab, RE: RunEngine) -> None:
    documents: list[tuple[str, dict[str, Any]]] = []
    result = RE(lab.controlled(lit_scan(lab)), lambda name, document: documents.append((name, document)))
    assert result.exit_status == "success"
    for name, document in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
    (descriptor,) = [document for name, document in documents if name == "descriptor"]
    key = descriptor["data_keys"]["pump_power_w"]
    assert (key["units"], key["limits"]["control"]["high"]) == ("W", 5.0)
    assert descriptor["configuration"]["camera"]["data"]["camera_exposure_s"] == lab.bench.camera.exposure_s
    events = [document["data"] for name, document in documents if name == "event"]
    assert [event["pump_power_w"] for event in events] == [1.0, 2.0, 3.0]
    powers = [event["meter_power"] for event in events]
    assert powers[2] == pytest.approx(3 * powers[0], rel=0.05)
    assert all(event["camera_total"] > 0 for event in events)
    assert dark_and_free(lab)


def test_images_slm_patterns_and_regions_go_through_plans(bench_file: Path, RE: RunEngine) -> None:
    events: list[dict[str, Any]] = []
    with open_lab(bench_file) as lab:
        phase = np.zeros((lab.bench.slm.rows, lab.bench.slm.columns), np.float32)

        def plan() -> Iterator[Any]:
            yield from bps.mv(lab.camera.roi, (8, 16, 12, 20))
            yield from bps.mv(lab.slm, phase)
            yield from bp.count([lab.camera, lab.slm], 1)

        RE(lab.controlled(plan()), {"event": lambda name, document: events.append(document["data"])})
        assert lab.bench.camera.roi == ROI(row=8, column=16, rows=12, columns=20)
    assert events[0]["camera_image"].shape == (12, 20)
    assert events[0]["slm_pattern"] >= 0


def test_a_burst_is_flown(lab: Lab, RE: RunEngine) -> None:
    events: list[dict[str, Any]] = []

    def plan() -> Iterator[Any]:
        yield from bps.open_run()
        yield from bps.prepare(lab.camera, 4, wait=True)
        yield from bps.kickoff(lab.camera, wait=True)
        yield from bps.complete(lab.camera, wait=True)
        yield from bps.collect(lab.camera)
        yield from bps.close_run()

    RE(lab.controlled(plan()), lambda name, document: events.append(document) if name.startswith("event") else None)
    times = [time for document in events for time in np.atleast_1d(document["time"])]
    assert len(times) == 4
    assert times == sorted(set(times))


def test_a_pause_turns_light_off_keeps_control_and_resuming_turns_it_on(lab: Lab, RE: RunEngine) -> None:
    with pytest.raises(RunEngineInterrupted):
        RE(lab.controlled(lit_scan(lab, pause=True)))
    assert RE.state == "paused"
    assert not lab.bench.pump.emission
    (lease,) = leases(lab)
    least = lease["remaining_s"]
    while (now := leases(lab)[0]["remaining_s"]) <= least:  # until it is renewed once more
        least = now
        time.sleep(0.05)
    events: list[dict[str, Any]] = []
    RE.subscribe(lambda name, document: events.append(document["data"]), "event")
    assert RE.resume().exit_status == "success"
    assert len(events) == 3
    assert all(event["meter_power"] > 1e-3 for event in events)  # the tap sees a hundredth of 1 W and more
    assert dark_and_free(lab)


@pytest.mark.parametrize("end", ["abort", "stop", "halt"])
def test_however_a_paused_plan_ends_light_is_off_and_control_free(lab: Lab, RE: RunEngine, end: str) -> None:
    def plan() -> Iterator[Any]:
        yield from bp.count([lab.meter], 1)  # which stages and unstages the bench as well
        yield from lit_scan(lab, pause=True)

    with pytest.raises(RunEngineInterrupted):
        RE(lab.controlled(plan()))
    assert leases(lab)
    getattr(RE, end)()
    assert not lab.bench.pump.emission
    while leases(lab):  # halt tells of its end a moment before the plan's task has ended
        time.sleep(0.02)


def test_after_an_emergency_stop_a_paused_plan_does_not_light_again(lab: Lab, RE: RunEngine) -> None:
    with pytest.raises(RunEngineInterrupted):
        RE(lab.controlled(lit_scan(lab, pause=True)))
    lab.bench.stop("a drill")
    with pytest.raises(LeaseError, match="a drill"):
        RE.resume()
    RE.abort()
    assert dark_and_free(lab)


def test_a_value_beyond_the_limit_ends_the_plan_in_the_dark(lab: Lab, RE: RunEngine) -> None:
    def plan() -> Iterator[Any]:
        yield from bps.mv(lab.pump.emission, True)
        yield from bps.mv(lab.pump.power_w, 7.0)

    with pytest.raises(FailedStatus, match=r"LimitError: pump\.power_w = 7 W is outside") as failed:
        RE(lab.controlled(plan()))
    assert isinstance(failed.value.__cause__, LimitError)
    assert dark_and_free(lab)
    with pytest.raises(LimitError, match="outside"):
        lab.pump.check_value(7.0)


def test_a_loop_that_hangs_loses_its_light(bench_file: Path, RE: RunEngine) -> None:
    with open_lab(bench_file, {"bench.lease": "0.5 s"}) as lab:

        def plan() -> Iterator[Any]:
            yield from bps.mv(lab.pump.emission, True)
            while leases(lab):  # asks without renewing, as a plan that computes would not
                time.sleep(0.05)
            yield from bps.mv(lab.pump.power_w, 2.0)
            yield from bps.mv(lab.pump.emission, True)

        with pytest.raises(FailedStatus) as failed:
            RE(lab.controlled(plan()))
        assert isinstance(failed.value.__cause__, LeaseError)
        assert dark_and_free(lab)


def test_control_is_of_a_plan_and_of_one_only(lab: Lab, RE: RunEngine, bench_file: Path) -> None:
    with pytest.raises(LeaseError, match="within a plan"):
        lab.stage()
    with lab.bench.control("somebody"), pytest.raises(LeaseError):
        RE(lab.controlled(lit_scan(lab)))
    assert dark_and_free(lab)


def test_a_sequence_is_flown_with_an_event_for_each_pattern(bench_file: Path, RE: RunEngine) -> None:
    composite = '[devices.sequencer]\nkind = "sequencer"\nslm = "slm"\ncamera = "camera"\n'
    bench_file.write_text(bench_file.read_text(encoding="utf-8") + composite, encoding="utf-8")
    three = Sequence(
        base=np.zeros((4, 4)),
        base_origin=(0, 0),
        patches=np.full((1, 2, 2), np.pi),
        patch_origins=np.zeros((1, 2), np.int32),
        offsets=np.array([0, 0, 1, 1], np.int32),
        indices=np.zeros(1, np.int32),
    )
    windows = [ROI(row=0, column=0, rows=4, columns=4), ROI(row=4, column=4, rows=8, columns=8)]
    signals: list[Any] = []

    def keep(name: str, document: dict[str, Any]) -> None:
        if name == "event_page":
            signals.extend(document["data"]["sequencer_signal"])
        elif name == "event":
            signals.append(document["data"]["sequencer_signal"])

    with open_lab(bench_file) as lab:

        def plan() -> Iterator[Any]:
            yield from bps.open_run()
            yield from bps.prepare(lab.sequencer, (three, windows), wait=True)
            yield from bps.kickoff(lab.sequencer, wait=True)
            yield from bps.complete(lab.sequencer, wait=True)
            yield from bps.collect(lab.sequencer)
            yield from bps.close_run()

        RE(lab.controlled(plan()), keep)
    assert np.shape(signals) == (3, 2)
    assert np.all(np.array(signals) > 0)
