"""Benches and devices show what they are set to, who has control and what emits, or what keeps them from it."""

from __future__ import annotations

import inspect

import pytest
from fakes import Lab

from labctl.bench.client import Bench
from labctl.bus.signatures import signature_of


def test_a_device_shows_settings_with_units_limits_and_who_has_control(bench: Bench) -> None:
    text = str(bench.lamp)
    assert text.splitlines()[0] == "lamp: lamp (real), light off, nobody has control"
    assert any(line.split() == ["power_w", "2", "W", "0", "W", "to", "4", "W"] for line in text.splitlines())
    with bench.control("a look <b>"):
        bench.lamp.emission = True
        assert "light ON, control: a look <b> (" in str(bench.lamp)
        html = bench.lamp._repr_html_()
    assert "control: a look &lt;b&gt;" in html
    assert "<td" in html
    assert str(bench.eye).splitlines()[0] == "eye: eye (real), nobody has control"  # it has no light
    assert 'title="Power set-point."' in html


def test_a_bench_shows_its_devices_and_what_emits(bench: Bench) -> None:
    with bench.control("a look"):
        bench.lamp.emission = True
        rows = {line.split()[0]: line for line in str(bench).splitlines()[2:]}
        assert rows.keys() == {"lamp", "spare", "eye", "relay"}
        assert "ON" in rows["lamp"]
        assert "a look (" in rows["relay"]
    assert "nobody" in bench._repr_html_()


def test_looking_costs_one_call_of_the_device_and_none_of_the_bench(lab: Lab, bench: Bench) -> None:
    counts = lab.server._lanes["calls"].rules.counts
    before = counts["handled"]
    str(bench)
    bench._repr_html_()
    repr(bench.lamp)
    assert counts["handled"] == before
    bench.lamp._repr_html_()
    assert counts["handled"] == before + 1


def test_a_device_that_is_busy_is_not_waited_for(lab: Lab, bench: Bench) -> None:
    other = lab.bench()
    pending = other.lamp.slow.submit(1.0)
    lab.host.servers["main"].devices["lamp"].busy.wait(5)  # type: ignore[attr-defined]
    text = str(bench.spare)
    assert lab.server.lock.locked()  # still
    assert "busy with a call" in text
    assert pending.result() == "done"


def test_what_is_not_reachable_any_more_says_so_and_raises_nothing(lab: Lab) -> None:
    bench = lab.bench()
    bench.close()
    for shown in (str(bench), bench._repr_html_(), str(bench.lamp), bench.lamp._repr_html_()):
        assert "closed" in shown
    assert "nobody" not in str(bench.lamp)  # who has control is not known


def test_operations_tell_their_signature_and_where_they_belong(bench: Bench) -> None:
    assert str(inspect.signature(bench.lamp.slow)) == "(seconds: float) -> str"
    assert repr(bench.lamp.echo) == "<operation lamp.echo(value: Any, *, twice: bool = False) -> Any>"
    assert inspect.getdoc(bench.lamp.look) == "look() -> int\n\nChange nothing."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("(a, /, b: 'int' = 1, *c, d=None, **e) -> 'None'", "(a, /, b: int = 1, *c, d=None, **e) -> None"),
        ("(kind: 'str' = 'a', roi=ROI(row=0))", "(kind: str = 'a', roi=ROI(row=0))"),
        ("what is this", "(*args, **kwargs)"),
    ],
)
def test_signatures_are_read_from_text(text: str, shown: str) -> None:
    assert str(signature_of(text)) == shown
