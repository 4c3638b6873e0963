"""Each protocol's notebook runs from its first cell to its last in a fresh folder, and is kept without outputs.

What notebooks promise they assert themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "examples" / "notebooks").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def _own_jupyter(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's is read or written."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("jupyter")))


def test_every_protocol_has_a_notebook() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"prbm", "nep", "domino", "dyad", "langevin"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_and_shows_pictures(path: Path, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in notebook.cells)
    client = NotebookClient(notebook, timeout=240, startup_timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in data for data in shown)
    assert any("✓" in data.get("text/html", "") for data in shown)  # progress is told below the cell


def test_a_notebook_completes_roles_settings_and_operations_and_describes_them() -> None:
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=240)
    try:
        told = client.execute(
            "import labctl\nbench = labctl.connect('langevin-sim', {'world.units': 3})", reply=True, timeout=120
        )
        assert told["content"]["status"] == "ok"

        def completed(text: str) -> list[str]:
            matches: list[str] = client.complete(text, len(text), reply=True, timeout=60)["content"]["matches"]
            return matches

        assert completed("bench.comp") == ["computer"]
        assert {"program", "quartic", "snapshot"} <= set(completed("bench.computer."))
        assert "computer" in completed("bench['co")
        assert {"connect", "run", "figure"} <= set(completed("labctl."))
        about = client.inspect("bench.computer.program", len("bench.computer.program"), reply=True, timeout=60)[
            "content"
        ]
        assert "program(stages: list[ComputerStage])" in about["data"]["text/plain"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
