"""A control loop fails: it is killed, stopped, too busy, or it is two."""

from __future__ import annotations

import time

from labctl.ledger.rail import BOTH_BY_LEASE, BY_LEASE, Rail, both
from labctl.ledger.row import Row, Trial


def _killed(rail: Rail, trial: Trial) -> float:
    with rail.operator("pump") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        begun_ns, begun_s = time.monotonic_ns(), time.time()
        operator.kill()
        dark_s = rail.dark_after_s(begun_ns)
    assert rail.logged("lease of", "lapsed", since_s=begun_s), "the log does not tell of it"
    return dark_s


def _stopped(rail: Rail, trial: Trial) -> float:
    with rail.operator("pump") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        begun_ns = time.monotonic_ns()
        operator.signal("SIGSTOP")
        dark_s = rail.dark_after_s(begun_ns)
        operator.signal("SIGCONT")
        told = operator.heard()
        assert told.get("error") == "LeaseError", f"it was told {told}"
        assert "not renewed within" in told["message"], told["message"]
    return dark_s


def _busy(rail: Rail, trial: Trial) -> float:
    with rail.operator("pump") as operator:
        assert "busy" in operator.asked(f"busy {2.5 * rail.lease_s}")
        begun_ns = time.monotonic_ns()
        dark_s = rail.dark_after_s(begun_ns)
        told = operator.heard()
        assert told.get("error") == "LeaseError", f"it was told {told}"
    return dark_s


def _two_operators(rail: Rail, trial: Trial) -> None:
    with rail.operator("pump") as first, rail.operator() as second:
        told = second.asked("on pump")
        assert told.get("error") == "LeaseError", f"the second was told {told}"
        assert "controlled by operator of the ledger" in told["message"], told["message"]
        assert rail.witness.lit() == ["pump_emission"], "the first one's light went off"
        assert "off" in first.asked("off")


ROWS = [
    *(
        Row(f"client {what}", BY_LEASE, f"emission off; {told}", both(*BOTH_BY_LEASE), trial)
        for what, told, trial in (
            ("killed", "told in the log", _killed),
            ("stopped", "the client is told when it goes on", _stopped),
            ("in a busy loop", "the client is told at its next call", _busy),
        )
    ),
    Row("two operators at once", "lease", "the second is refused and told who has control; the light of the first "
        "stays", both(), _two_operators),
]  # fmt: skip
