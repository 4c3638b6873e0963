"""A hologram table's plan is checked against its camera before anything is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hologram_small import BENCH, SMALL

from calibration.lighting import limits
from calibration.pump_light import Switch
from labctl.bench.load import load_bench
from labctl.client import ROI, CalibrationError, ConfigurationError, LabError, open_bench
from labctl.server.host import rehearse


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"alignment.hologram.spot.row": -2000}, "spot is at row -920"),
        ({"alignment.hologram.zeroth_order.column": 3000}, "zeroth_order is at row 1080, column 3000"),
        ({"alignment.hologram.carrier.row": 0.6}, "not resolved"),
    ],
    ids=["spot off the camera", "axis off the camera", "fringes too fine"],
)
def test_a_plan_that_does_not_fit_the_camera_is_refused(given: dict[str, object], cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        rehearse(load_bench(BENCH, {**SMALL, **given}))
    assert rehearse(load_bench(BENCH, SMALL))


def test_light_is_on_inside_a_block_dark_for_a_moment_in_it_and_off_after_an_error() -> None:
    with open_bench(load_bench(BENCH, SMALL)) as bench, bench.control():
        switch, pump = Switch(bench, "pump"), bench.pump
        pump.power_w = 0.002
        seen = []

        def measure() -> None:
            with switch.light(2.0):
                seen.append((pump.emission, pump.power_w))
                with switch.off():
                    seen.append((pump.emission, pump.power_w))
                seen.append((pump.emission, pump.power_w))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            measure()
        assert limits(bench, "pump", "power_w") == (0.0, 0.5)
        assert seen == [(True, 0.5), (False, 0.5), (True, 0.5)]
        assert not pump.emission
        assert pump.power_w == 0.002


def test_a_laser_that_goes_off_meanwhile_is_told() -> None:
    with open_bench(load_bench(BENCH, SMALL)) as bench, bench.control():
        with pytest.raises(CalibrationError, match="went off during the measurement"), Switch(bench, "pump").light(0.1):
            bench.pump.emission = False
        with (
            pytest.raises(LabError, match="port = 'probe'"),
            open_bench(load_bench(BENCH, {**SMALL, "devices.pump.port": "probe"})),
        ):
            pass


def test_a_world_that_stood_for_a_while_has_drifted_arms() -> None:
    light = []
    for elapsed in ("0 s", "300 s"):
        given = {**SMALL, "world.elapsed": elapsed, "world.hidden.slow_noise": 0, "world.hidden.warm_up": 0.5}
        with open_bench(load_bench(BENCH, given)) as bench, bench.control():
            bench.reference.power_w = 0.5
            bench.reference.emission = True
            bench.camera.exposure_s = 0.05
            bench.camera.roi = ROI(row=1000, column=1200, rows=16, columns=16)
            light.append(float(np.mean(bench.camera.trigger().data)) - 100)
    assert 1.2 < light[1] / light[0] < 2.5  # half to a quarter of the power was missing, and is there by now
