"""The machine is rebooted with the laser on, or somebody edits the bench file while the bench is up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from drivers.errors import LabError
from labctl.bench.client import open_bench
from labctl.bench.load import load_bench
from labctl.bus.segments import process_alive
from labctl.ledger.child import START_S, Child, children
from labctl.ledger.rail import Rail, both, until
from labctl.ledger.row import Bench, Row, Trial, refused
from labctl.ledger.witness import Witness
from labctl.server import runtime

_INSTRUMENTS = """
[bench]
name = "ledger-instruments"
world = "rail"
clock = "real"

[devices.pump]
kind = "pump"
backend = "emulated"
driver = "sprout"
"""

_COMPUTER = """
[bench]
name = "ledger-reboot"
clock = "real"
lease = "0.5 s"

[devices.pump]
kind = "pump"
backend = "real"
driver = "sprout"
"""


class _Reboot:
    """Lasers that stay on when their computer goes down, and the computer: all processes of a bench with them."""

    def __init__(self, folder: Path) -> None:
        instruments = folder / "instruments.toml"
        instruments.write_text(_INSTRUMENTS, encoding="utf-8")
        self._instruments = Child("labctl.ledger.served", str(instruments), "instruments")
        told = self._instruments.heard(START_S)
        self.witness = Witness(load_bench(instruments), told["world"])
        self.bench_file = folder / "computer.toml"
        options = "".join(f"{key} = {json.dumps(value)}\n" for key, value in told["connections"]["pump"].items())
        self.bench_file.write_text(_COMPUTER + options, encoding="utf-8")
        self.computer: Child | None = None

    def set_up(self) -> None:
        """The lasers are there, and the computer is up; it is the one that came up in the trial before."""
        if self.computer is None or not self.computer.lives:
            self.boot()

    def boot(self) -> None:
        """Until the bench is up."""
        self.computer = Child("labctl.ledger.served", str(self.bench_file))
        self.computer.heard(START_S)

    def close(self) -> None:
        """Everything off."""
        if self.computer is not None:
            self.computer.end()
        self.witness.close()
        self._instruments.end()


@contextlib.contextmanager
def _reboot(folder: Path) -> Iterator[_Reboot]:
    with contextlib.closing(_Reboot(folder)) as made:
        yield made


def _rebooted(stage: _Reboot, trial: Trial) -> None:
    """Everything of the computer's ends in the same moment; the laser, which has no watchdog, stays on until the bench
    is up again: then it is dark before anybody can use it."""
    computer = stage.computer
    assert computer is not None
    operator = Child("labctl.ledger.operator", str(stage.bench_file))
    try:
        operator.heard()
        assert "on" in operator.asked("on pump")
        until(lambda: bool(stage.witness.lit()))
        families = [pid for parent in (computer.pid, operator.pid) for pid in [parent, *children(parent)]]
        for pid in families:  # none of them acts between
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for pid in families:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    finally:
        computer.kill()
        operator.kill()
    until(lambda: not any(map(process_alive, families)))
    assert stage.witness.lit() == ["pump_emission"], "nothing was left on: the trial is none"
    stage.boot()
    assert not stage.witness.lit(), "the bench is up and the laser is on"
    with open_bench(stage.bench_file) as bench:
        assert bench.pump.emission is False


def _edited(rail: Rail, trial: Trial) -> None:
    """The bench goes on as it was brought up; who comes with another file is told so, before anything is done."""
    text = rail.bench_file.read_text(encoding="utf-8")
    with rail.operator("pump"):
        try:
            rail.bench_file.write_text(text.replace('power = "40 %"', 'power = "90 %"'), encoding="utf-8")
            assert rail.bench_file.read_text(encoding="utf-8") != text
            told = refused(LabError, lambda: open_bench(rail.bench_file).__enter__())
            assert rail.name in told, told
            rail.bench_file.write_text(text[: len(text) // 2] + "[[[", encoding="utf-8")
            os.kill(rail.pid("eyes"), signal.SIGKILL)  # what is started again is what was up, not half a file
            until(lambda: not rail.witness.lit())
        finally:
            rail.bench_file.write_text(text, encoding="utf-8")
    rail.set_up()
    assert runtime.find(rail.name) is not None


ROWS = [
    Row("machine rebooted with emission on", "start-up", "emission off before the bench is up",
        (Bench("emulated", _reboot),), _rebooted, "a simulated laser ends with its computer"),
    Row("configuration edited while running", "fingerprint of the bench file", "the bench, and what of it is started "
        "again, goes on as it came up; who brings the other file is refused", both(), _edited),
]  # fmt: skip
