"""Every promise of the contract, one test each: every driver on its emulated instrument and every simulated kind.

What `labctl conformance` runs, near and over ipc. The suites check numbers; nothing here knows what they check.
"""

from __future__ import annotations

import pytest

from drivers.conformance.rig import Check
from labctl.conformance.stand import Case, Stand, all_cases

PROMISES = [(case, check) for case in all_cases() for check in case.suite.checks]


def name_of(value: Case | Check) -> str:
    return value.name if isinstance(value, Check) else f"{value.subject} {value.backend} {value.layout}"


@pytest.mark.parametrize(("stand", "check"), PROMISES, ids=name_of, indirect=["stand"], scope="module")
def test_it_keeps_its_promise(stand: Stand, check: Check) -> None:
    stand.run(check)
