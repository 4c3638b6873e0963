"""Another package under the name of one of our rooms is named, not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labctl.shadow import ROOMS, check_rooms

HOME = Path(__file__).resolve().parents[2]

PROGRAM = f"""
import sys
sys.path.append({str(HOME)!r})
from labctl.shadow import check_rooms
try:
    check_rooms()
except Exception as error:
    print(type(error).__name__, error)
print("imported", [room for room in {ROOMS!r} if getattr(sys.modules.get(room), "HOSTILE", False)])
"""


def run_in(folder: Path) -> str:
    # The program is named by "-c", so the working directory comes first on the path, as for a user's script.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_our_own_rooms_pass() -> None:
    check_rooms()


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("form", ["package", "module"])
def test_a_shadowed_room_is_named_with_file_and_cure(tmp_path: Path, room: str, form: str) -> None:
    file = tmp_path / room / "__init__.py" if form == "package" else tmp_path / f"{room}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("HOSTILE = True\n")
    output = run_in(tmp_path)
    assert output.startswith(f'ConfigurationError the package "{room}" is taken from {file.resolve()}')
    assert "remove or rename it, run from another directory" in output
    assert "imported []" in output


def test_a_folder_without_init_does_not_shadow(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    assert run_in(tmp_path) == "imported []\n"
