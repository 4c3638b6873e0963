"""A calibration through real drivers, short: power by a console on the network of a laser on a serial line.

All routines are tried so by `make hil` (`tests/emulated/test_emulated_routines.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "calibration"))

import test_laser_power
from interval_coverage import one_hidden_table

EMULATED = "benches/prbm-emulated.toml"
# Seconds of slow noise would have to average out.
TABLE = {**test_laser_power.TABLE, "world.hidden.slow_noise": 0}
SHORT = {
    "integration_s": 0.3, "points": 6, "sweeps": 1, "watch_s": 0, "noise_samples": 64, "settle_s": 0.1,
    "meter_step": 0.002,
}  # fmt: skip


@pytest.mark.timeout(300)
def test_power_is_what_the_source_emits_while_it_warms_up(tmp_path: Path) -> None:
    table = one_hidden_table("laser-power", tmp_path, 100, bench=EMULATED, given={**TABLE, **SHORT})
    powers = [q for q in test_laser_power.compare(table) if q.name.startswith("power at")]
    assert len(powers) == len(test_laser_power.SHARES)
    for q in powers:
        # 3 % are still to come: five standard uncertainties are 1 % of the power, and one false alarm in 10^5.
        assert abs(q.value - q.truth) <= 5 * q.uncertainty, f"{q} is off"
        assert q.uncertainty < 3e-3 * q.truth
