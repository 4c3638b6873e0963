"""A run that ended early goes on from its last checkpoint, in the same file, as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from resumable import Walk, assert_same, assert_tidy, contents, only_run, stopped

from labctl.client import ConfigurationError, DeviceError, LabError, Recorder, open_run
from labctl.experiments.checkpoint import Checkpoint, read, write
from labctl.experiments.execute import Outcome, execute, resume
from labctl.runfile.file import find_run
from labctl.runfile.lock import RunLock

pytestmark = pytest.mark.usefixtures("walks")


def walk(bench: Path, out: Path, name: str = "t.walk", **given: object) -> Outcome:
    return execute("labctl.protocols", name, bench, given, seed=5, out=out)


MOMENTS = ["prepare", "there 0", "there 7", "there 11", "back 0", "back 3", "back 5", "end", "conclude"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_stopped_anywhere_ends_as_one_that_was_not(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = walk(small_bench, out.with_name("whole"))
    with stopped(monkeypatch, moment):
        walk(small_bench, out)
    again = resume(only_run(out))
    assert again.run_file == only_run(out)
    assert_same(only_run(out), whole.run_file)
    assert again.values["length"] == whole.values["length"]
    assert_tidy(only_run(out))


def test_a_run_may_be_stopped_again_and_again(small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walk(small_bench, out.with_name("whole"))
    with stopped(monkeypatch, "there 5", DeviceError):
        walk(small_bench, out)
    for moment in ("there 5", "there 6", "back 1", "conclude"):
        with stopped(monkeypatch, moment):
            resume(only_run(out))
    resume(only_run(out))
    assert_same(only_run(out), whole.run_file)


def test_the_run_file_tells_of_every_part(small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped(monkeypatch, "there 5", DeviceError):
        walk(small_bench, out)
    with stopped(monkeypatch, "back 1"):
        resume(only_run(out))
    resume(only_run(out))
    with open_run(only_run(out)) as run:
        parts = [dict(run[f"parts/{k}"].attrs) for k in range(3)]
        assert list(run["parts"]) == ["0", "1", "2"]
        assert [p["first_step"] for p in parts] == [0, 5, 13]
        assert [p.get("kept_steps") for p in parts] == [5, 13, None]
        assert parts[0]["status"] == "failed: DeviceError: stopped at there 5"
        assert [p["status"] for p in parts[1:]] == ["interrupted", "complete"]
        assert all("numpy" in json.loads(p["versions"]) and p["start_time"] <= p["end_time"] for p in parts)
        assert run.attrs["duration_s"] == pytest.approx(sum(p["duration_s"] for p in parts))
        assert json.loads(run["parts/1/settings"].asstr()[()]).keys() == {"slm", "camera", "source", "sequencer"}


def test_a_protocol_without_checkpoints_begins_anew_in_the_same_file(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = walk(small_bench, out.with_name("whole"), "t.forgetful")
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out, "t.forgetful")
    resume(only_run(out))
    assert_same(only_run(out), whole.run_file)


def test_a_run_begins_anew_on_demand(small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walk(small_bench, out.with_name("whole"))
    with stopped(monkeypatch, "back 3"):
        walk(small_bench, out)
    with stopped(monkeypatch, "prepare"):
        resume(only_run(out), anew=True)
    assert not only_run(out).with_suffix(".checkpoint").exists()
    resume(only_run(out))
    assert_same(only_run(out), whole.run_file)


def test_a_figure_goes_on_with_its_parameters_and_its_verdict(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Walk, "bench", str(small_bench))
    given = {"there": 4, "back": 2, "world.seed": 11}
    with stopped(monkeypatch, "back 1"):
        execute("labctl.figures", "t.seen", None, given, seed=5, out=out)
    outcome = resume(only_run(out))
    assert (outcome.name, outcome.ok, len(contents(only_run(out))["steps/number"])) == ("t.seen", True, 6)


# --- refused ----------------------------------------------------------------------------------------------------


def test_a_complete_run_is_refused(small_bench: Path, out: Path) -> None:
    run = walk(small_bench, out).run_file
    before = run.read_bytes()
    with pytest.raises(ConfigurationError, match=r"is complete: there is nothing left to do"):
        resume(run)
    assert run.read_bytes() == before
    assert_tidy(run)


def test_a_run_that_is_being_written_is_refused(out: Path) -> None:
    with (
        Recorder("t.walk", out, 0) as record,
        pytest.raises(ConfigurationError, match=r"by a process that lives \(pid"),
    ):
        RunLock.take(record.path)
    RunLock.take(record.path).release()


@pytest.mark.parametrize("content", [b"", b"no run"])
def test_what_is_no_run_is_refused(out: Path, content: bytes) -> None:
    out.mkdir()
    (out / "other.h5").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"other.h5 cannot be read as a run file"):
        resume(out / "other.h5")
    assert [p.name for p in out.iterdir()] == ["other.h5"]


def test_a_bench_that_changed_is_refused_unless_it_is_named(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out)
    text = small_bench.read_text()
    small_bench.write_text(text.replace("seed = 7", "seed = 8"))
    with pytest.raises(ConfigurationError, match=r"is not what it was.*--bench"):
        resume(only_run(out))
    small_bench.write_text("# a comment changes nothing\n" + text)
    with stopped(monkeypatch, "there 6"):
        resume(only_run(out))
    small_bench.write_text(text.replace("seed = 7", "seed = 8"))
    resume(only_run(out), small_bench)
    with open_run(only_run(out)) as run:
        assert "seed = 8" in run["parts/2/bench_file"].asstr()[()]
        assert "seed = 7" in run["setup/bench_file"].asstr()[()]


def test_a_run_goes_on_on_its_own_machine(small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out)
    monkeypatch.setenv("LABCTL_AT", "cellar")
    with pytest.raises(ConfigurationError, match=r"is that of this machine, and LABCTL_AT=cellar names another"):
        resume(only_run(out))


def test_a_bench_file_that_is_gone_is_taken_from_the_run(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out)
    small_bench.unlink()
    resume(only_run(out))
    assert contents(only_run(out))["steps/number"].tolist() == [*range(12), *range(0, -6, -1)]


def test_a_lost_checkpoint_is_told_and_the_steps_are_kept(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out)
    only_run(out).with_suffix(".checkpoint").rename(out / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"is not beside it; bring it there, or .* --anew"):
        resume(only_run(out))
    (out / "elsewhere").rename(only_run(out).with_suffix(".checkpoint"))
    resume(only_run(out))
    assert len(contents(only_run(out))["steps/number"]) == 18


def test_a_spoilt_checkpoint_is_told(small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped(monkeypatch, "there 5"):
        walk(small_bench, out)
    path = only_run(out).with_suffix(".checkpoint")
    whole, kept = path.read_bytes(), read(path)
    assert kept is not None
    dice = np.random.default_rng(3)
    for _ in range(40):
        spoilt = bytearray(whole)
        spoilt[dice.integers(len(whole))] ^= 1 << dice.integers(8)
        path.write_bytes(spoilt)
        with contextlib.suppress(ConfigurationError):
            again = read(path)  # the bit said nothing, as in the archive's dates
            assert again is not None
            np.testing.assert_array_equal(again.state["position"], kept.state["position"])
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"no whole checkpoint"):
        resume(only_run(out))


def test_a_loop_of_another_kind_goes_on_too(out: Path) -> None:
    """Such as training, which counts by itself, before the steps."""

    def work(record: Recorder, stop_at: int | None) -> list[float]:
        weights = record.rng.normal(size=3)
        first = 0
        if record.resumed is not None and "epoch" in record.resumed:
            weights, first = record.resumed["weights"], record.resumed["epoch"]
            record.restore_rng()
        if record.resumed is None or "epoch" in record.resumed:
            for epoch in range(first, 4):
                weights = weights + record.rng.normal(size=3)
                record.checkpoint(weights=weights, epoch=epoch + 1)
                if epoch == stop_at:
                    raise KeyboardInterrupt
        for step in record.steps(4, "steps"):
            step.save(x=weights.sum() + record.rng.normal())
        series = record.series("x")
        assert series is not None
        return [float(x) for x in series]

    with Recorder("own", out, 3) as record:
        whole = work(record, None)
    for epoch in range(4):
        with pytest.raises(KeyboardInterrupt), Recorder("own", out, 3) as record:
            work(record, epoch)
        with Recorder.resume(record.path, RunLock.take(record.path)) as again:
            assert work(again, None) == whole


def test_steps_within_steps_are_refused(out: Path) -> None:
    with Recorder("nested", out, 0) as record:
        for _ in record.steps(1, "outer"):
            with pytest.raises(ConfigurationError, match="one loop"):
                next(iter(record.steps(1, "inner")))


# --- what a checkpoint holds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path, kind: str) -> None:
    rng = np.random.Generator(getattr(np.random, kind)(3))
    rng.integers(0, 5, 3, np.uint8)  # leaves half a word over
    state = {
        "array": np.arange(12.0).reshape(3, 4)[:, ::2], "spins": np.array([-1, 1], np.int8), "name": "Ä",
        "number": 0.1, "count": 1 << 80, "infinite": float("inf"), "yes": True, "none": None,
        "single": np.float32(0.1), "complex": np.array([1j]), "words": np.array(["a", "bc"]), "rng": rng,
    }  # fmt: skip
    path = tmp_path / "c.checkpoint"
    write(path, Checkpoint(3, 0, 4, rng.bit_generator.state, state))
    found = read(path)
    assert found is not None
    assert (found.steps, found.loop, found.index) == (3, 0, 4)
    for name, value in state.items():
        if name != "rng":
            assert type(found.state[name]) is type(value)
            np.testing.assert_array_equal(found.state[name], value)
    other = np.random.Generator(getattr(np.random, kind)())
    other.bit_generator.state = found.rng
    expected = rng.normal(size=9).tolist(), rng.integers(0, 5, 9, np.uint8).tolist()
    for again in (found.state["rng"], other):
        assert (again.normal(size=9).tolist(), again.integers(0, 5, 9, np.uint8).tolist()) == expected


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, object(), np.array([object()]), 1j, b"raw"])
def test_what_cannot_be_kept_is_refused_and_the_last_checkpoint_stays(tmp_path: Path, value: object) -> None:
    with Recorder("t.walk", tmp_path, 0) as record:
        record.checkpoint(n=1)
        with pytest.raises(ConfigurationError, match=r"checkpoint of bad: .* cannot be kept; allowed"):
            record.checkpoint(n=2, bad=value)
        kept = read(record.path.with_suffix(".checkpoint"))
        assert kept is not None
        assert kept.state == {"n": 1}


# --- the command line -------------------------------------------------------------------------------------------


def test_latest_is_the_run_begun_last(tmp_path: Path) -> None:
    for name in ("2026-01-02-030405-a.h5", "2026-01-02-030406-a.h5", "2025-12-31-235959-z.h5"):
        (tmp_path / name).write_bytes(b"")
    assert find_run("latest", tmp_path).name == "2026-01-02-030406-a.h5"
    for given in ("2025-12-31-235959-z", "2025-12-31-235959-z.h5", str(tmp_path / "2025-12-31-235959-z.h5")):
        assert find_run(given, tmp_path) == tmp_path / "2025-12-31-235959-z.h5"
    with pytest.raises(LabError, match="no such run file"):
        find_run("nothing", tmp_path)
    with pytest.raises(LabError, match="no run files"):
        find_run("latest", tmp_path / "nowhere")
