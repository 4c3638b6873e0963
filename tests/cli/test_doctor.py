"""`labctl doctor` tells what is wrong with a machine, each with its cure, and tries what can be tried without one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from packaging.requirements import Requirement

from labctl.doctor import machine, python


def findings(out: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["area"], one["what"]): one for one in json.loads(out)["findings"]}


def test_all_that_is_tried_works_here_and_whatever_is_not_well_has_a_cure(labctl: Command) -> None:
    done = labctl("doctor", "--processes", "--json")
    found = findings(done.out)
    assert done.status == 0, [one for one in found.values() if one["state"] == "broken"]
    assert all(one["cure"] for one in found.values() if one["state"] != "ok")
    for trial in ("bus", "shared memory", "simulated bench", "bench of processes"):
        assert found["trials", trial]["state"] == "ok"
    assert "light off" in found["trials", "simulated bench"]["told"]
    assert found["packages", "numpy"]["told"]
    assert list(Path(os.environ["LABCTL_RUNTIME"]).iterdir()) == []
    assert {"python", "displays", "ports", "memory", "clock", "folders", "data", "benches"} <= {a for a, _ in found}


def test_what_is_broken_is_told_with_its_cure_and_exit_status_1(
    labctl: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everybodys = tmp_path / "run"
    everybodys.mkdir()
    everybodys.chmod(0o777)
    monkeypatch.setenv("LABCTL_RUNTIME", str(everybodys))
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("LABCTL_LOG", "x")
    done = labctl("doctor", "--json")
    found = findings(done.out)
    assert done.status == 1
    assert found["folders", "runtime"]["state"] == "broken"
    assert "LABCTL_RUNTIME" in found["folders", "runtime"]["cure"]
    assert found["data", "LABCTL_DATA"]["state"] == "broken"
    assert "LABCTL_LOGS" in found["environment", "LABCTL_LOG"]["told"]
    assert found["trials", "bus"]["state"] == "broken"
    readable = labctl("doctor")
    assert readable.status == 1
    assert "✗ runtime" in readable.out
    assert "→ remove it, or set LABCTL_RUNTIME" in readable.out


def test_a_package_that_is_too_old_or_missing_is_told() -> None:
    assert python._installed(Requirement("numpy>=1")) == (python._installed(Requirement("numpy"))[0], "")
    assert ">=999" in python._installed(Requirement("numpy>=999"))[1]
    assert "not installed" in python._installed(Requirement("no-such-package-of-labctl"))[1]


def test_a_port_that_this_user_may_not_open_names_the_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    monkeypatch.setattr(machine, "_serial_ports", lambda: [str(port)])
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may open everything
    (found,) = machine.ports()
    assert found.state == "note"
    assert machine._group_of(str(port)) in found.told
    assert found.cure
