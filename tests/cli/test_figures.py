"""`labctl figure`: one JSON object, an exit status that tells, and light that obeys the equations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, Done
from numpy.typing import NDArray

FLIPS = ("single", "hadamard")


def measured(labctl: Command, *assignments: str) -> Done:
    """`labctl figure prbm.local-fields` with every assignment behind a ``--set``."""
    return labctl("figure", "prbm.local-fields", "--json", *(word for a in assignments for word in ("--set", a)))


def case_of(n_visible: int, n_hidden: int, levels: int | None) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "W": rng.normal(0, 0.3, (n_visible, n_hidden)).tolist(),
        "a": rng.normal(0, 0.3, n_visible).tolist(),
        "b": rng.normal(0, 0.3, n_hidden).tolist(),
        "v": rng.choice([-1, 1], n_visible).tolist(),
        "T": 1.5,
        "levels": levels,
    }


def write(folder: Path, case: object) -> Path:
    path = folder / "case.json"
    path.write_text(case if isinstance(case, str) else json.dumps(case), encoding="utf-8")
    return path


def axis_fields(case: dict[str, Any], spin: int) -> NDArray[np.complex128]:
    """Field on the axis of every band, output spins at ``spin``: the sheet's phases, the nearest gray level."""
    weights, b, v = np.array(case["W"]), np.array(case["b"]), np.array(case["v"])
    wmax = max(np.abs(weights).max(), np.abs(b).max())

    def shown(phase: NDArray[np.float64]) -> NDArray[np.complex128]:
        levels = case["levels"]
        if levels is not None:
            phase = np.round(phase / (2 * np.pi) * levels) * (2 * np.pi / levels)
        return np.exp(1j * phase)

    def macro_pixel(base: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.complex128]:
        return (shown(base + angle) + shown(base - angle)) / 2

    visible = macro_pixel(np.pi / 2 * v[:, None], np.arccos(weights / wmax)).sum(axis=0)
    auxiliary = macro_pixel(np.full(len(b), np.pi / 2), np.arccos(b / wmax))
    hidden: NDArray[np.complex128] = visible + auxiliary + shown(np.array([np.pi / 2 * spin]))
    return hidden


def test_the_figures_are_listed_with_a_line_each(labctl: Command) -> None:
    done = labctl("figure", "--list")
    assert done.status == 0
    assert {line.split()[0] for line in done.out.splitlines()} >= {"prbm.local-fields", "prbm.digits"}
    assert all(len(line.split()) > 3 for line in done.out.splitlines())


def test_the_list_is_json_on_demand(labctl: Command) -> None:
    assert "prbm.local-fields" in json.loads(labctl("figure", "--list", "--json").out)


def test_the_default_figure_meets_its_target(labctl: Command) -> None:
    done = labctl("figure", "prbm.local-fields", "--json")
    figure = json.loads(done.out)
    assert list(figure) == ["figure", "values", "targets", "ok", "seconds"]
    assert (done.status, figure["ok"]) == (0, True)
    assert figure["targets"]["rms"] == {"max": 0.1}


def test_a_target_that_is_missed_is_exit_status_1(labctl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.prbm.assess.local_fields.PUBLISHED_RMS", 1e-9)
    done = measured(labctl)
    assert (done.status, json.loads(done.out)["ok"]) == (1, False)


@pytest.mark.parametrize("assignment", ["devices.source.power=1 %", "world.camera.read_noise=3"])
def test_on_another_table_there_is_no_target(labctl: Command, assignment: str) -> None:
    done = measured(labctl, assignment)
    assert (done.status, json.loads(done.out)["targets"]) == (0, None)


def test_away_from_the_published_parameters_there_is_no_target(labctl: Command) -> None:
    done = measured(labctl, "N=8")
    figure = json.loads(done.out)
    assert (done.status, figure["targets"], figure["ok"]) == (0, None, None)


def test_the_readable_form_is_json_too(labctl: Command) -> None:
    done = labctl("figure", "prbm.local-fields", "--set", "N=4", "--set", "noise=off")
    assert json.loads(done.out)["figure"] == "prbm.local-fields"
    assert "run file" in done.err


@pytest.mark.parametrize(
    ("called", "by"),
    [
        (("run", "prbm.local-fields"), "labctl figure prbm.local-fields"),
        (("figure", "camera.dark"), "labctl calibrate camera.dark"),
        (("calibrate", "prbm.digits"), "labctl figure prbm.digits"),
    ],
)
def test_an_experiment_of_another_command_is_told_with_that(labctl: Command, called: tuple[str, str], by: str) -> None:
    done = labctl(*called)
    assert done.status == 2
    assert f"`{by}`" in done.err


# --- the equations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("shape", [(7, 5), (4, 9), (1, 1)], ids=str)
def test_without_noise_and_quantisation_measured_fields_are_exact(
    labctl: Command, tmp_path: Path, flips: str, shape: tuple[int, int]
) -> None:
    case = case_of(*shape, levels=None)
    done = measured(labctl, f"case={write(tmp_path, case)}", "noise=off", f"flips={flips}")
    values = json.loads(done.out)["values"]
    exact = np.array(case["W"]).T @ np.array(case["v"]) + np.array(case["b"])
    np.testing.assert_allclose(values["L_exact"], exact, atol=1e-12)
    np.testing.assert_allclose(values["L_measured"], exact, atol=1e-9)
    assert values["wmax"] == pytest.approx(max(np.abs(case["W"]).max(), np.abs(case["b"]).max()))
    np.testing.assert_allclose(values["p"], 1 / (1 + np.exp(-2 * exact / case["T"])), atol=1e-9)
    if shape != (1, 1):
        assert (values["r"], values["slope"]) == pytest.approx((1.0, 1.0), abs=1e-6)
        assert values["rms"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("levels", [None, 256, 16])
@pytest.mark.parametrize("flips", FLIPS)
def test_intensities_and_probabilities_follow_the_equations(
    labctl: Command, tmp_path: Path, levels: int | None, flips: str
) -> None:
    _assert_equations(labctl, tmp_path, case_of(9, 6, levels), f"flips={flips}")


@pytest.mark.parametrize("levels", [None, 256])
@pytest.mark.parametrize("flips", FLIPS)
def test_more_outputs_than_bands_give_the_same_in_several_passes(
    labctl: Command, tmp_path: Path, levels: int | None, flips: str
) -> None:
    bands = ["world.optics.bands=4", "alignment.prbm.bands=4"]
    _assert_equations(labctl, tmp_path, case_of(5, 10, levels), f"flips={flips}", *bands)


def _assert_equations(labctl: Command, folder: Path, case: dict[str, Any], *more: str) -> None:
    done = measured(labctl, f"case={write(folder, case)}", "noise=off", *more)
    assert done.status == 0, done.err
    values = json.loads(done.out)["values"]
    n_visible, n_hidden = np.array(case["W"]).shape
    up, down = np.abs(axis_fields(case, 1)) ** 2, np.abs(axis_fields(case, -1)) ** 2
    unity = n_hidden * (n_visible + 2) ** 2
    wmax = max(np.abs(case["W"]).max(), np.abs(case["b"]).max())
    fields = wmax * (up - down) / 4
    assert values["wmax"] == pytest.approx(wmax)
    assert values["i1"] == pytest.approx(up.sum() / unity, abs=1e-9)
    np.testing.assert_allclose(values["i2"], (up.sum() - up + down) / unity, atol=1e-9)
    np.testing.assert_allclose(values["L_measured"], fields, atol=1e-7)
    np.testing.assert_allclose(values["p"], 1 / (1 + np.exp(-2 * fields / case["T"])), atol=1e-7)
    # Eq. (2) from the intensities themselves.
    again = wmax / 4 * unity * (values["i1"] - np.array(values["i2"]))
    np.testing.assert_allclose(again, fields, atol=1e-6)
    exact = np.array(values["L_exact"])
    slope, _ = np.polyfit(exact, fields, 1)
    assert values["slope"] == pytest.approx(slope, abs=1e-6)
    assert values["r"] == pytest.approx(np.corrcoef(exact, fields)[0, 1], abs=1e-6)
    assert values["rms"] == pytest.approx(np.sqrt(np.mean((fields - exact) ** 2)), abs=1e-7)


@pytest.mark.parametrize("key", ["a", "b", "T", "levels"])
def test_a_case_may_leave_out_what_has_a_default(labctl: Command, tmp_path: Path, key: str) -> None:
    case = case_of(3, 3, 256)
    del case[key]
    done = measured(labctl, f"case={write(tmp_path, case)}", "noise=off")
    assert done.status == 0, done.err


def test_couplings_that_are_all_zero_give_fields_that_are_zero(labctl: Command, tmp_path: Path) -> None:
    case = {"W": [[0, 0], [0, 0]], "v": [1, -1]}
    done = measured(labctl, f"case={write(tmp_path, case)}", "noise=off")
    values = json.loads(done.out)["values"]
    assert (values["wmax"], done.status) == (0, 0)
    np.testing.assert_allclose(values["L_measured"], 0, atol=1e-3)


# --- bad cases --------------------------------------------------------------------------------------------------

GOOD = {"W": [[0.1, 0.2], [0.3, -0.4]], "v": [1, -1], "a": [0, 0], "b": [0.1, 0], "T": 1.0, "levels": 256}


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("not json", "cannot be read"),
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[1, 2]", "object"),
        ({**GOOD, "Q": 1}, "Q"),
        ({"v": [1]}, "W is missing"),
        ({"W": [[1.0]]}, "v is missing"),
        ({**GOOD, "W": []}, "W"),
        ({**GOOD, "W": [0.1, 0.2]}, "W"),
        ({**GOOD, "W": [[0.1], [0.2, 0.3]]}, "W"),
        ({**GOOD, "W": [[0.1, "x"], [0.2, 0.3]]}, "W"),
        ({**GOOD, "W": [[0.1, None], [0.2, 0.3]]}, "W"),
        ({**GOOD, "W": [[0.1, float("nan")], [0.2, 0.3]]}, "W"),
        ({**GOOD, "W": [[0.1, float("inf")], [0.2, 0.3]]}, "W"),
        ({**GOOD, "a": [0]}, "a"),
        ({**GOOD, "b": [0, 0, 0]}, "b"),
        ({**GOOD, "b": [0, float("nan")]}, "b"),
        ({**GOOD, "v": [1]}, "v"),
        ({**GOOD, "v": [1, 0]}, "v"),
        ({**GOOD, "v": [1, 0.5]}, "v"),
        ({**GOOD, "v": [1, None]}, "v"),
        ({**GOOD, "T": 0}, "T"),
        ({**GOOD, "T": -1}, "T"),
        ({**GOOD, "T": float("nan")}, "T"),
        ({**GOOD, "T": float("inf")}, "T"),
        ({**GOOD, "T": "warm"}, "T"),
        ({**GOOD, "T": True}, "T"),
        ({**GOOD, "levels": 1}, "levels"),
        ({**GOOD, "levels": 2.5}, "levels"),
        ({**GOOD, "levels": True}, "levels"),
        ({**GOOD, "levels": "many"}, "levels"),
        ({**GOOD, "W": [[0.1] * 2] * 3000, "a": [0] * 3000, "v": [1] * 3000}, "fit"),
    ],
    ids=range(32),
)
def test_a_bad_case_is_exit_status_2_and_says_what_is_wrong(
    labctl: Command, tmp_path: Path, case: object, told: str
) -> None:
    done = measured(labctl, f"case={write(tmp_path, case)}")
    assert done.status == 2, done.out
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_case_that_is_not_there_is_exit_status_2(labctl: Command, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        done = labctl("figure", "prbm.local-fields", "--set", f"case={path}")
        assert done.status == 2
        assert str(path) in done.err


# --- sabotage ---------------------------------------------------------------------------------------------------

SABOTAGE = ["emission=off", "world.beam.blocked=true", "world.slm.stuck=true", "world.source.tripped=true"]


@pytest.mark.parametrize("noise", ["on", "off"])
@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_a_figure_without_proper_light_fails_and_has_no_values(labctl: Command, sabotage: str, noise: str) -> None:
    done = measured(labctl, "N=12", sabotage, f"noise={noise}")
    figure = json.loads(done.out)
    assert done.status == 1
    assert (figure["ok"], figure["values"]) == (False, None)
    assert figure["error"]["type"] in ("CalibrationError", "DeviceError", "InterlockError")
    assert figure["error"]["message"] in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("sabotage", "readout"),
    [*((s, "camera") for s in SABOTAGE), ("emission=off", "photodetector"), ("world.slm.stuck=true", "photodetector")],
)
def test_generation_without_proper_light_fails_and_leaves_no_picture(
    labctl: Command, tmp_path: Path, sabotage: str, readout: str
) -> None:
    small = ["--set", "epochs=1", "--set", "per_class=20", "--set", "images=1", "--set", "iterations=1"]
    wrong = ["--set", sabotage, "--set", f"readout={readout}"]
    done = labctl("run", "prbm.generate", "--json", *small, *wrong, "--out", tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("labctl: ")
    assert list(tmp_path.glob("*.png")) == []
