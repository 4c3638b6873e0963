"""What interlocks did is in the run's file; a loop that waits goes on; commands reach a bench within a script."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drill import drill_file, lit, served, told_of_trip

from drivers.errors import InterlockError
from labctl.bench.load import load_bench, packaged_benches
from labctl.cli.app import app
from labctl.client import Bench, Parameters, Protocol, Recorder, open_bench, open_run
from labctl.experiments.execute import Job, perform

RULES = """
[interlocks.key]
rule = "armed"
[interlocks.tap]
rule = "reading"
device = "meter"
max = "15 mW"
within = "5 s"
"""


class Brighter(Protocol):
    """Light up to a power; if an interlock acts, somebody else acknowledges, and the light comes back at 1 W."""

    class Parameters(Parameters):
        power_w: float = 2.0
        waits: bool = True

    def run(self, bench: Bench, parameters: Any, record: Recorder) -> dict[str, Any]:
        bench.arm()
        lit(bench)
        try:
            bench.pump.power_w = parameters.power_w
            told_of_trip(bench)
        except InterlockError:
            pass
        if not parameters.waits:
            bench.pump.emission = True
        other = threading.Timer(0.3, bench.acknowledge, ["tap", "by somebody else"])
        other.start()
        waited = bench.wait_acknowledged(timeout_s=30)
        other.join()
        bench.pump.power_w = 1.0
        bench.pump.emission = True
        return {"waited": waited, "lit": bench.pump.emission}


@pytest.mark.parametrize("waits", [True, False])
def test_what_interlocks_did_is_in_the_run_file(tmp_path: Path, waits: bool) -> None:
    config = load_bench(drill_file(tmp_path, RULES))
    job = Job("brighter", Brighter(), Brighter.Parameters(waits=waits), config, {})
    begun: list[Path] = []
    if waits:
        assert perform(job, open_bench(config), 0, tmp_path, begun=begun.append).values["waited"] == ["tap"]
    else:
        with pytest.raises(InterlockError, match="interlock tap"):
            perform(job, open_bench(config), 0, tmp_path, begun=begun.append)
    with open_run(begun[0]) as file:
        status = str(file.attrs["status"])
        events = json.loads(file["interlocks"].asstr()[()])
        assert json.loads(file.attrs["interlocks"]) == {"tap": 1}
    assert [event["what"] for event in events] == ["tripped", "acknowledged"][: 2 if waits else 1]
    assert all(event["run"] == begun[0].stem for event in events)
    assert (
        status == "complete" if waits else "failed: InterlockError: pump.emission is refused: interlock tap" in status
    )


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        app(list(arguments))
    return int(done.value.code or 0)


def test_commands_reach_a_bench_within_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_bench(drill_file(tmp_path, RULES)) as bench, bench.control():
        assert command("arm", "drill", "--for", "20 min", "--json") == 0
        assert json.loads(capsys.readouterr().out)["armed"]["pump"]["armed"]
        bench.pump.power_w = 2.0
        lit(bench)
        told_of_trip(bench)
        capsys.readouterr()
        assert command("status") == 0
        shown = capsys.readouterr().out
        assert "TRIPPED" in shown
        assert "meter reads" in shown
        assert command("status", "--json") == 0
        (told,) = json.loads(capsys.readouterr().out)
        tripped = {state["name"]: state["tripped"] for state in told["interlocks"]}
        assert tripped == {"key": False, "tap": True}
        assert command("ack", "--reason", "looked at") == 0
        assert capsys.readouterr().out == "drill: tap acknowledged\n"
        bench.pump.power_w = 1.0
        bench.pump.emission = True
        assert command("disarm") == 0
        assert "pump was armed" in capsys.readouterr().out
        assert not bench.config.interlocks["key"].rule.latches
        with pytest.raises(InterlockError, match="disarmed by"):
            bench.pump.power_w = 1.0


def test_the_bench_for_drills_is_right_and_every_rule_is_in_it() -> None:
    from labctl.bench.interlocks import RULES as KNOWN

    config = load_bench("drill")
    assert {interlock.rule.rule for interlock in config.interlocks.values()} == set(KNOWN)


def test_the_laboratorys_interlocks_are_right_once_they_are_taken_in(tmp_path: Path) -> None:
    text = packaged_benches()["prbm-lab"].read_text(encoding="utf-8")
    begin = text.index("# [interlocks.key]")
    taken_in = "\n".join(line.removeprefix("# ") for line in text[begin:].split("\n\n")[0].splitlines())
    path = tmp_path / "prbm-lab.toml"
    path.write_text(f"{text}\n{taken_in}\n", encoding="utf-8")
    config = load_bench(path)
    assert {interlock.rule.rule for interlock in config.interlocks.values()} == {"armed", "reading", "camera"}
    with served(config) as (bench, _), bench.control():
        with pytest.raises(InterlockError, match="not armed"):
            bench.source.emission = True
        bench.arm()
        bench.slm.write(np.zeros((4, 4)))
        bench.source.emission = True
        assert bench.power_tap.measure().power_w > 0
        assert not any(state["tripped"] for state in bench.interlocks())
