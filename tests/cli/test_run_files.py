"""`labctl runs plot`, `report` and `prune`: what they write and tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from PIL import Image

from labctl import open_run_data
from labctl.experiments.recorder import Recorder


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """A run of lines, maps and pictures, with one picture of its own."""
    with Recorder("t.seen", tmp_path / "runs", 4) as record:
        record.setup(bench="small", bench_file="# <of glass>", group="labctl.protocols", parameters={"size": 3})
        record.save("W", np.eye(12))
        for step in record.steps(3, "looking"):
            step.save(
                power_w=1e-3 * step.index, frame=np.full((6, 8), step.index, np.uint16), time_s=float(step.index),
                spins=np.ones(20, np.int8), field=np.exp(1j * np.arange(3.0)),
            )  # fmt: skip
        Image.new("L", (4, 4)).save(record.picture("own"))
        record.finish({"mean_w": 2.5e-3, "word": "<calm>", "curve": np.arange(5.0)})
    return record.path


def test_a_run_is_drawn_beside_it_and_what_is_not_there_is_told(seen: Path, labctl: Command) -> None:
    done = labctl("runs", "plot", "latest", "--json")
    told = json.loads(done.out)
    assert (done.status, told["left_out"]) == (0, [])
    assert Path(told["picture"]) == seen.with_name(f"{seen.stem}-plot.png")
    with Image.open(told["picture"]) as drawn:
        assert np.asarray(drawn.convert("L")).std() > 10
    one = labctl("runs", "plot", seen, "--only", "frame", "--only", "data/W", "--to", "two.png")
    assert (one.status, one.out.strip()) == (0, "two.png")
    missed = labctl("runs", "plot", seen, "--only", "frames")
    assert missed.status == 2
    assert 'did you mean "frame"' in missed.err
    (seen.parent / "bare").mkdir()
    with Recorder("t.bare", seen.parent / "bare", 0) as record:
        record.finish({"mean": 1.0})
    assert "nothing to show" in labctl("runs", "plot", record.path).err
    assert labctl("runs", "report", record.path).status == 0


def test_a_report_is_one_file_with_pictures_numbers_units_and_the_command(seen: Path, labctl: Command) -> None:
    assert labctl("runs", "report", seen).status == 0
    text = seen.with_suffix(".html").read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "0.0025 W" in text
    assert "labctl run t.seen" in text
    assert "&lt;calm&gt;" in text
    assert "# &lt;of glass&gt;" in text
    assert "http" not in text
    assert "src=" in open_run_data(seen)._repr_html_()


def test_steps_as_a_data_set_have_units_coordinates_and_parts(seen: Path) -> None:
    found = open_run_data(seen.name, seen.parent).to_xarray()
    assert dict(found.sizes) == {"step": 3, "frame_0": 6, "frame_1": 8, "spins_0": 20, "field_0": 3}
    assert (found.power_w.attrs["units"], found.time_s.attrs["units"]) == ("W", "s")
    assert float(found.frame.sel(step=2).mean()) == 2.0
    np.testing.assert_array_equal(found.part, [0, 0, 0])
    saved_s = found.step_time.values.astype("int64") / 1e9
    np.testing.assert_allclose(saved_s, open_run_data(seen).step_times(), rtol=0, atol=1e-5)
    assert found.attrs["protocol"] == "t.seen"


def test_prune_tells_first_and_removes_when_told_to(seen: Path, labctl: Command) -> None:
    told = labctl("runs", "prune", "--older", "0 s")
    assert told.status == 0
    assert "would go" in told.out
    assert "--delete" in told.out
    assert seen.exists()
    done = json.loads(labctl("runs", "prune", "--status", "complete", "--delete", "--json").out)
    assert (done["removed"], done["kept"], done["dry_run"]) == ([seen.name], {}, False)
    assert not list(seen.parent.glob("*seen*"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say which runs"),
        (["--older", "30"], "30 days"),
        (["--older=-1 s"], "0 or more"),
        (["--status", "running"], "allowed: complete"),
        (["--status", "foreign"], "allowed: complete"),
        (["--larger", "big"], "100MB"),
    ],
)
def test_a_prune_without_a_clear_order_removes_nothing(
    seen: Path, labctl: Command, arguments: list[str], told: str
) -> None:
    done = labctl("runs", "prune", "--delete", *arguments)
    assert done.status == 2
    assert told in done.err
    assert seen.exists()
