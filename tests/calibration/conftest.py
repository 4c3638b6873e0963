"""At the end of a soak run, one table tells how well every routine knows how sure it is."""

from __future__ import annotations

import pytest
from interval_coverage import COVERED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not COVERED:
        return
    terminalreporter.section("true values within the stated 95 % intervals")
    terminalreporter.write_line(
        f"{'routine':<15}{'quantity':<26}{'covered':>8}{'95 % interval':>20}{'median error':>18}{'uncertainty':>12}"
    )
    for measured in COVERED:
        terminalreporter.write_line(measured.report())
