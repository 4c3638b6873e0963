"""The system's clock is set while a laser emits: leases, expiry and watchdogs count monotonic time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import labctl.ledger
from labctl.ledger.benches import EMULATED, SIMULATED
from labctl.ledger.rail import BOTH_BY_LEASE, BY_LEASE, EMULATED_LEASE_S, LEASE_S, Rail, standing
from labctl.ledger.row import Bench, Row, Trial

_HOUR_S = 3600.0
_LOGGED_WITHIN_S = 60.0
_WRONG_CLOCK = Path(labctl.ledger.__file__).parent / "wrong_clock"


class _WithAClock(Rail):
    """Its processes, and its operators, take the time from a clock that can be set."""

    def set_clock(self, wrong_s: float) -> None:
        """By how much it is wrong from now on."""
        aside = self.clock_file.with_suffix(".new")
        aside.write_text(f"{wrong_s}", encoding="ascii")
        aside.replace(self.clock_file)

    @property
    def clock_file(self) -> Path:
        """What it is wrong by."""
        return Path(self.environment["LABCTL_LEDGER_CLOCK"])


@contextlib.contextmanager
def _stage(folder: Path, name: str, devices: str, lease_s: float) -> Iterator[_WithAClock]:
    path = os.pathsep.join([str(_WRONG_CLOCK), *filter(None, [os.environ.get("PYTHONPATH")])])
    rail = _WithAClock(folder, name, devices, lease_s=lease_s)
    rail.environment |= {"PYTHONPATH": path, "LABCTL_LEDGER_CLOCK": str(folder / "clock")}
    rail.set_clock(0.0)
    with standing(rail) as stood:
        yield stood


def _jumps(rail: _WithAClock, trial: Trial, by_s: float) -> float:
    """Nothing happens to whoever is in control; and when that one dies, the light goes off no later than else."""
    rail.set_clock(0.0)
    with rail.operator("pump") as operator:
        rail.set_clock(by_s)
        time.sleep(1.5 * rail.lease_s)
        assert rail.witness.lit() == ["pump_emission"], "the light went off"
        begun_ns, begun_s = time.monotonic_ns(), time.time()
        operator.kill()
        dark_s = rail.dark_after_s(begun_ns)
    # Its time there is that of the clock as it was set: no line of before the jump is near.
    since_s = begun_s + by_s
    told = rail.logged("lease of", "lapsed", since_s=since_s, until_s=since_s + _LOGGED_WITHIN_S)
    assert told, "the log does not tell of it, or not by the clock that was set"
    return dark_s


_BENCHES = (
    Bench("simulated", partial(_stage, name="ledger-clock", devices=SIMULATED, lease_s=LEASE_S), BOTH_BY_LEASE[0]),
    Bench("emulated", partial(_stage, name="ledger-clock-emulated", devices=EMULATED, lease_s=EMULATED_LEASE_S),
          BOTH_BY_LEASE[1]),
)  # fmt: skip
ROWS = [
    Row(f"clock jumps an hour {where}", f"{BY_LEASE} of monotonic time", "control and light go on; then the client is "
        "killed: emission off by its lease", _BENCHES, partial(_jumps, by_s=by_s))
    for where, by_s in (("forward", _HOUR_S), ("back", -_HOUR_S))
]  # fmt: skip
