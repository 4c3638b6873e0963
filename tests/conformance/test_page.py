"""The page that tells what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.conformance.report import report
from labctl.conformance.runner import Result
from labctl.conformance.stand import Case, all_cases

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def passed(case: Case) -> list[Result]:
    return [Result(case.subject, case.kind, case.backend, case.layout, c.name, "", 0.1) for c in case.suite.checks]


def test_the_page_in_the_documentation_is_of_these_drivers_and_checks() -> None:
    """Written anew by `labctl conformance --report docs/conformance.md` when a driver or a check is added."""
    assert PAGE.read_text(encoding="utf-8") == report(result for case in all_cases() for result in passed(case))


@pytest.mark.parametrize("case", all_cases()[:1])
def test_a_promise_that_is_not_kept_is_on_the_page(case: Case) -> None:
    results = passed(case)
    first = results[0]
    results[0] = Result(first.subject, first.kind, first.backend, first.layout, first.check, "Broken: 3 W\nmore", 0.1)
    page = report(results)
    assert f"{len(results) - 1} of {len(results)}" in page
    assert f"`{first.check}`: Broken: 3 W" in page
    assert "more" not in page.split("Not kept:")[1].splitlines()[2]
