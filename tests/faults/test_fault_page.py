"""That the page and the list of faults without a meaning are of these drivers and instruments. Quick: no instrument."""

from __future__ import annotations

from fault_bench import drivers
from fault_meaning import NO_MEANING, UNSEEN, cells, lasers, undeclared
from fault_page import PAGE, page, read_page


def test_every_fault_is_one_that_the_instrument_has_or_said_to_have_no_meaning() -> None:
    assert undeclared() == []


def test_the_page_has_every_driver_with_every_fault_and_nothing_else() -> None:
    wanted = {(situation, *cell) for situation in ("idle", "open") for cell in cells()}
    wanted |= {("lit", *cell) for cell in lasers()}
    assert set(read_page()) == wanted


def test_the_page_is_as_it_would_be_written() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read_page())


def test_what_is_said_to_be_unseen_is_unseen() -> None:
    found = read_page()
    assert {key for key, outcome in found.items() if outcome == "unseen"} == {("idle", *cell) for cell in UNSEEN}


def test_reasons_are_given_for_drivers_and_kinds_that_there_are() -> None:
    assert {driver for driver, _ in UNSEEN} <= set(drivers())
    assert all(reason for reason in [*NO_MEANING.values(), *UNSEEN.values()])
