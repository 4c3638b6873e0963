"""Every promise of the contract, one test each: every driver on its emulated instrument and every simulated kind.

What `labctl conformance` runs, near and over ipc. The suites check numbers; nothing here knows what they check.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.conformance.rig import Check
from labctl.conformance.stand import Case, Stand, all_cases

PROMISES = [(case, check) for case in all_cases() for check in case.suite.checks]


def name_of(value: Case | Check) -> str:
    return value.name if isinstance(value, Check) else f"{value.subject} {value.backend} {value.layout}"


@pytest.mark.parametrize(("case", "check"), PROMISES, ids=name_of)
def test_it_keeps_its_promise(stand_of: Callable[[Case], Stand], case: Case, check: Check) -> None:
    stand_of(case).run(check)
