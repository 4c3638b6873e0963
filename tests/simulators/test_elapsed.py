"""A table in virtual time may have stood for a while when a session begins: what drifts has drifted by then."""

from __future__ import annotations

import pytest
from prbm_table import parameters

from drivers.errors import ConfigurationError
from labctl.client import open_bench
from simulators.clock import RealClock, VirtualClock
from simulators.worlds.prbm import PrbmWorld
from simulators.worlds.prbm.source import SourceInTime

HOUR_NS = 3_600_000_000_000


def test_each_session_begins_so_late() -> None:
    world = PrbmWorld(parameters(elapsed="2 h"), VirtualClock())
    for session in ("one", "other"):
        world.begin(session)
        assert world.clock.now_ns() == 2 * HOUR_NS
        world.clock.sleep_until(5 * HOUR_NS)
        world.begin(session)  # of the same session, from another server: nothing
        assert world.clock.now_ns() == 5 * HOUR_NS


def test_what_drifts_has_drifted_on_the_bench() -> None:
    given = {"world.hidden.power_drift": 0.02, "world.noise": False, "devices.power_tap.integration": "10 ms"}
    power = {}
    for elapsed in ("0 h", "3 h"):
        with open_bench("prbm-sim", {**given, "world.elapsed": elapsed}) as bench, bench.control():
            bench.source.power_fraction = 0.4
            bench.source.emission = True
            power[elapsed] = bench.power_tap.measure().power_w
    source = SourceInTime(parameters(hidden={"power_drift": 0.02}, noise=False))
    assert power["3 h"] / power["0 h"] == pytest.approx(source.common(3 * 3600, 0.01), rel=1e-5)
    assert abs(power["3 h"] / power["0 h"] - 1) > 0.03


def test_in_real_time_a_table_is_as_old_as_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"world\.elapsed = 7200 s: in real time"):
        PrbmWorld(parameters(elapsed="2 h"), RealClock())
