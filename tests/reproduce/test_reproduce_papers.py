"""What of the five papers is measured: every figure that is registered, with settings that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.reproduce.choose import chosen, papers, planned

OURS = ("domino", "dyad", "langevin", "nep", "prbm")


def test_every_figure_belongs_to_a_paper() -> None:
    named = {r.figure for paper in papers() for r in paper.reproductions if paper.key != "other"}
    assert named >= set(registry.names("labctl.figures"))
    assert {paper.key for paper in papers()} >= set(OURS)


@pytest.mark.parametrize("quick", [True, False])
def test_all_settings_are_taken_and_the_longest_begin_first(quick: bool, tmp_path: Path) -> None:
    plan, entries = planned(chosen(OURS, quick), tmp_path)
    points = sorted(point for entry in entries for point in entry.points)
    assert points == list(range(plan.size))
    first = next(entry for entry in entries if 0 in entry.points)
    assert first.reproduction.cost_s[quick] == max(entry.reproduction.cost_s[quick] for entry in entries)
    assert len(entries) >= 56


def test_a_quick_report_is_expected_within_ten_minutes_and_a_full_one_within_ninety_on_two_processors() -> None:
    """By the processor time that each figure took when it was last measured."""
    assert sum(entry.cost_s for entry in chosen(OURS, quick=True)) / 2 <= 600
    assert sum(entry.cost_s for entry in chosen(OURS, quick=False)) / 2 <= 5400


def test_what_is_not_judged_says_why() -> None:
    for paper in papers():
        for r in paper.reproductions:
            for c in r.compared:
                assert c.within is not None or c.published is None or c.why or r.note, (r.entry, c.value)


def test_figures_are_chosen_by_paper_figure_or_entry() -> None:
    assert {entry.paper.key for entry in chosen(["t"], quick=True)} == {"t"}
    assert len(chosen(["t.coin"], quick=True)) == 3
    assert [entry.name for entry in chosen(["t.wrong"], quick=True)] == ["t.wrong"]
    with pytest.raises(ConfigurationError, match=r"did you mean \"t\.wrong\""):
        chosen(["t.wrng"], quick=True)


def test_a_repeat_has_another_seed_and_on_a_table_another_table(tmp_path: Path) -> None:
    plan, (entry,) = planned(chosen(["prbm.local-fields: single flips"], quick=True), tmp_path)
    repeats = entry.reproduction.repeats[1]
    assert [plan.given(i)["seed"] for i in range(plan.size)] == list(range(repeats))
    assert len({str(plan.given(i)["given"]) for i in range(plan.size)}) == repeats > 1
