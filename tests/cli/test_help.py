"""Help answers at once because nothing heavy is imported, and bad usage is exit status 2."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

import pytest
from commands import Command

HEAVY = {"numpy", "scipy", "numba", "zmq", "pydantic", "h5py", "matplotlib", "sklearn", "mlxtend", "pint", "msgspec"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["figure", "--help"], ["run", "--help"]], ids=str)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['labctl', *{arguments!r}]\n"
        "from labctl.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('IMPORTED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    # typer itself reads a command's parameters with pydantic where that is installed.
    assert imported & HEAVY <= ({"pydantic"} if len(arguments) > 1 else set())


def test_help_names_the_commands(labctl: Command) -> None:
    done = labctl("--help")
    assert done.status == 0
    assert all(word in done.out for word in ("run", "figure", "check", "up", "status", "stop", "logs", "keys"))


def test_the_version_is_that_of_the_package_with_the_commit_of_a_checkout(labctl: Command) -> None:
    done = labctl("--version")
    assert done.status == 0
    name, version, *commit = done.out.split()
    assert (name, version) == ("labctl", importlib.metadata.version("labctl"))
    assert not commit or re.fullmatch(r"\([0-9a-f]{12}(, changed)?\)", " ".join(commit))


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run"],
        ["figure"],
        ["run", "prbm.generate", "--seed", "-1"],
        ["run", "prbm.generate", "--seed", "x"],
        ["run", "prbm.generate", "--seed", "99999999999999999999999"],
        ["figure", "prbm.local-fields", "--unheard-of"],
        ["check"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_exit_status_2(labctl: Command, arguments: list[str]) -> None:
    done = labctl(*arguments)
    assert done.status == 2
    assert done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "prbm.generat"], "prbm.generate"),
        (["figure", "prbm.local-field"], "prbm.local-fields"),
        (["run", "prbm.local-fields"], "`labctl figure prbm.local-fields`"),
        (["run", "prbm.generate", "--set", "images"], "no '='"),
        (["run", "prbm.generate", "--set", "image=3"], "images"),
        (["run", "prbm.generate", "--set", "images=many"], "images=many"),
        (["run", "prbm.generate", "--set", "images=0"], "images=0"),
        (["run", "prbm.generate", "--set", "classes=1,1"], "different"),
        (["run", "prbm.generate", "--set", "temperature=nan"], "temperature"),
        (["run", "prbm.generate", "--set", "world.slm.stuk=true"], "stuck"),
        (["run", "prbm.generate", "--set", "world.seed=-1"], "world.seed"),
        (["run", "prbm.generate", "--set", "devices.camera.exposure=5"], "exposure"),
        (["run", "prbm.generate", "--set", "bench.lease=1 ms"], "bench.lease"),
        (["run", "prbm.generate", "--bench", "nowhere.toml"], "nowhere.toml"),
        (["run", "prbm.generate", "--bench", "prbm-simm"], "prbm-sim"),
        (["run", "prbm.generate", "--set", "model=nowhere.npz"], "nowhere.npz"),
        (["run", "prbm.generate", "--set", "data=nowhere"], "nowhere"),
        (["logs", "nowhere"], "nowhere"),
        (["stop", "nowhere"], "nowhere"),
        (["status", "--at", "nowhere"], "labctl keys trust"),
        (["figure", "prbm.local-fields", "--set", "slit=2"], "slit"),
        (["figure", "prbm.local-fields", "--set", "pixels_per_spin=60"], "pixels_per_spin"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_exit_status_2_and_says_what_is_allowed(labctl: Command, arguments: list[str], told: str) -> None:
    done = labctl(*arguments)
    assert done.status == 2, done.err
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
