"""A bench file becomes SI numbers under the contract's names, or one list of everything wrong with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers import contract
from drivers.errors import ConfigurationError
from drivers.quantity import Metres
from drivers.settings import Limits
from labctl import registry
from labctl.bench import BenchConfig, BenchFileError, load_bench


class Beam(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    waist: Annotated[Metres, Field(gt=0, le=0.1)] = 5e-3
    profile: Metres | Literal["uniform"] = "uniform"


class Slm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    stuck: bool = False
    levels: int | None = 256


class World:
    class Parameters(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        seed: int = Field(7, ge=0)
        tags: frozenset[str] = frozenset({"a", "b", "c", "d"})
        beam: Beam = Beam()
        slm: Slm = Slm()
        bodies: list[Beam] = []

        @model_validator(mode="after")
        def _fails_like_a_bug(self) -> World.Parameters:
            if self.seed == 13:
                raise TypeError("unlucky")
            return self


class SimulatedCamera(contract.Camera):
    backend = "simulated"


class SimulatedSlm(contract.SLM):
    backend = "simulated"


class SimulatedSource(contract.SupercontinuumLaser):
    backend = "simulated"


class RealCamera(contract.Camera):
    class Options(BaseModel):
        port: int = Field(ge=0, le=9)


class Sequencer(contract.Sequencer):
    class Options(BaseModel):  # extra="ignore": unknown keys must be found nevertheless
        slm: str
        camera: str


class Alignment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    origin_row: int = Field(ge=0)


REGISTERED: dict[str, dict[str, Any]] = {
    "labctl.kinds": {
        "slm": contract.SLM,
        "camera": contract.Camera,
        "supercontinuum": contract.SupercontinuumLaser,
        "photodetector": contract.Photodetector,
        "sequencer": contract.Sequencer,
    },
    "labctl.simulated": {"slm": SimulatedSlm, "camera": SimulatedCamera, "supercontinuum": SimulatedSource},
    "labctl.drivers": {"sequencer": Sequencer, "andor": RealCamera},
    "labctl.worlds": {"prbm": World},
    "labctl.alignments": {"prbm": Alignment},
}

VALID = """\
[bench]
name = "table"
world = "prbm"
lease = "1 s"

[world]
seed = 7
beam.waist = "5.2 mm"

[devices.slm]
kind = "slm"
backend = "simulated"
settle = "75 ms"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "16.7 ms"
roi = { row = 1, column = 2, rows = 3, columns = 4 }

[devices.source]
kind = "supercontinuum"
backend = "simulated"
power = "20 %"
pulse_picker = 2
limits.power = { max = "40 %" }
limits.wavelength_min = { min = "580 nm", max = "620 nm" }

[devices.sequencer]
kind = "sequencer"
timing = "software"
slm = "slm"
camera = "camera"

[servers.optics]
devices = ["slm", "camera", "sequencer"]
[servers.light]
devices = ["source"]

[alignment.prbm]
origin_row = 3
"""


def _names(group: str) -> tuple[str, ...]:
    return tuple(sorted(REGISTERED[group]))


def _load(group: str, name: str) -> Any:
    if name not in REGISTERED[group]:
        raise ConfigurationError(f"{group}: no {name}")
    return REGISTERED[group][name]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "names", _names)
    monkeypatch.setattr(registry, "load", _load)
    monkeypatch.chdir(tmp_path)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the valid file with some text replaced by other text."""

    def edit(*edits: tuple[str, str], text: str = VALID, name: str = "x.toml") -> Path:
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return edit


def problems(path: str | Path, **overrides: object) -> list[str]:
    """The lines of the error that loading gives."""
    with pytest.raises(BenchFileError) as caught:
        load_bench(path, overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    return lines


# --- what a valid file means --------------------------------------------------------------------------------


def test_values_arrive_in_si_under_the_names_of_the_contract(write: Write) -> None:
    bench = load_bench(write())
    assert (bench.name, bench.world_name, bench.clock, bench.lease_s) == ("table", "prbm", "virtual", 1.0)
    assert isinstance(bench.world_parameters, World.Parameters)
    assert bench.world_parameters.beam.waist == pytest.approx(5.2e-3)
    camera = bench.devices["camera"]
    assert camera.factory is SimulatedCamera
    assert camera.settings["exposure_s"] == pytest.approx(16.7e-3)
    assert camera.settings["roi"] == contract.ROI(row=1, column=2, rows=3, columns=4)
    source = bench.devices["source"]
    assert source.settings == {"power_fraction": pytest.approx(0.2), "pulse_picker": 2}
    assert source.limits["power_fraction"] == Limits(maximum=0.4)
    assert source.limits["wavelength_min_m"].maximum == pytest.approx(620e-9)


def test_a_sequencer_is_real_code_on_a_simulated_bench(write: Write) -> None:
    sequencer = load_bench(write()).devices["sequencer"]
    assert (sequencer.backend, sequencer.driver) == ("real", "sequencer")
    assert sequencer.options == Sequencer.Options(slm="slm", camera="camera")
    assert sequencer.settings == {"timing": "software"}


def test_servers_and_alignment_are_read(write: Write) -> None:
    bench = load_bench(write())
    assert bench.servers == {"optics": ("slm", "camera", "sequencer"), "light": ("source",)}
    assert bench.alignment == {"prbm": Alignment(origin_row=3)}


def test_without_servers_one_server_has_every_device(write: Write) -> None:
    text = VALID[: VALID.index("[servers")]
    assert load_bench(write(text=text)).servers == {"main": ("slm", "camera", "source", "sequencer")}


def test_defaults_are_virtual_time_and_a_lease_of_two_seconds(write: Write) -> None:
    bench = load_bench(write(('lease = "1 s"\n', "")))
    assert (bench.clock, bench.lease_s) == ("virtual", 2.0)


def test_a_real_camera_gets_its_drivers_options(write: Write) -> None:
    real = 'backend = "real"\ndriver = "andor"\nport = 3\nexposure'
    bench = load_bench(write(('lease = "1 s"', 'clock = "real"'), ('backend = "simulated"\nexposure', real)))
    assert bench.devices["camera"].factory is RealCamera
    assert bench.devices["camera"].options == RealCamera.Options(port=3)


def test_options_of_the_named_real_driver_may_stay_while_it_is_simulated(write: Write) -> None:
    kept = 'driver = "andor"\nport = 3\nexposure'
    assert load_bench(write(("exposure", kept))).devices["camera"].driver == "andor"
    assert "port" in problems(write(("exposure", kept.replace("3", "30"))))[0]


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load_bench("w.toml").name == "table"


def test_a_bare_name_is_a_packaged_bench(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.setattr("labctl.bench.load.packaged_benches", lambda: {"prbm-sim": write()})
    assert load_bench("prbm-sim").name == "table"
    assert 'did you mean "prbm-sim"' in problems("prbm-simm")[0]


# --- overlay, overrides, fingerprint ------------------------------------------------------------------------


def test_the_local_overlay_lies_over_the_file(write: Write) -> None:
    path = write()
    write(text='[devices.camera]\nexposure = "5 ms"\n', name="x.local.toml")
    camera = load_bench(path).devices["camera"]
    assert camera.settings["exposure_s"] == pytest.approx(5e-3)
    assert "roi" in camera.settings


def test_an_error_names_the_file_that_made_it(write: Write) -> None:
    path = write(("seed = 7", "seed = -7"))
    overlay = '\n[devices.camera]\nexposure = "5 W"\n[devices.extra]\nbackend = "simulated"\n'
    write(text=overlay, name="x.local.toml")
    lines = problems(path, **{"world.beam.waist": "3 s"})
    assert [line.split(": ")[0] for line in lines] == [
        "x.toml:7",
        "x.toml:35",  # the new device has no server
        "x.local.toml:3",
        "x.local.toml:4",
        "--set world.beam.waist",
    ]


@pytest.mark.parametrize(("content", "found"), [(b"a = \n", "x.local.toml:1"), (b"\xff", "x.local.toml:1")])
def test_an_unreadable_overlay_is_named(write: Write, tmp_path: Path, content: bytes, found: str) -> None:
    path = write()
    (tmp_path / "x.local.toml").write_bytes(content)
    assert problems(path)[0].startswith(found)


def test_overrides_come_last(write: Write) -> None:
    path = write()
    write(text='[bench]\nlease = "3 s"\n', name="x.local.toml")
    bench = load_bench(
        path,
        {
            "bench.lease": "4 s",
            "world.slm.stuck": True,
            "world.slm.levels": None,
            "devices.camera.exposure": "5 ms",
            "devices.source.limits.power.max": "30 %",
        },
    )
    assert bench.lease_s == 4.0
    assert isinstance(bench.world_parameters, World.Parameters)
    assert bench.world_parameters.slm == Slm(stuck=True, levels=None)
    assert bench.devices["camera"].settings["exposure_s"] == pytest.approx(5e-3)
    assert bench.devices["source"].limits["power_fraction"].maximum == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("world.slm.stuk", True, 'unknown key (did you mean "stuck"?)'),
        ("bench.lease", 3, "has no unit"),
        ("bench.name.first", "a", "not a table"),
        ("bench..name", "a", "not a dotted key"),
        ("nonsense", 1, "unknown key"),
        ("devices.new.exposure", "5 ms", "devices.new.kind: missing"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(write: Write, key: str, value: object, message: str) -> None:
    lines = problems(write(text=VALID[: VALID.index("[servers")]), **{key: value})
    assert lines[0].startswith(f"--set {key}: ")
    assert message in lines[0]


def test_a_mistake_of_the_file_is_not_blamed_on_an_override_beside_it(write: Write) -> None:
    path = write(("seed = 7", "seed = -7"), ("[devices.slm]", '[devices."s l m"]'))
    lines = problems(path, **{"world.slm.stuck": True, "devices.s l m.settle": "1 s"})
    assert all(line.startswith("x.toml:") for line in lines)


def test_the_fingerprint_follows_the_meaning_and_not_the_spelling(write: Write) -> None:
    plain = load_bench(write()).fingerprint
    assert re.fullmatch("[0-9a-f]{16}", plain)
    assert load_bench(write(("16.7 ms", "16700 us"), ("[world]", "# a note\n[world]"))).fingerprint == plain
    for old, new in [
        ("16.7", "16.8"),
        ("seed = 7", "seed = 8"),
        ("40 %", "41 %"),
        ("lease = ", "# lease = "),
    ]:
        assert load_bench(write((old, new))).fingerprint != plain


def test_the_fingerprint_is_the_same_in_every_process(write: Write) -> None:
    path = write()
    program = (
        "import test_bench_file as t\n"
        "t.registry.names, t.registry.load = t._names, t._load\n"
        f"print(t.load_bench({str(path)!r}).fingerprint)"
    )
    here = Path(__file__).resolve().parent
    found = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{here}:{here.parents[1]}"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
    assert len(found) == 1


# --- what is wrong with a file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # unknown keys
        (
            "lease =",
            "leese =",
            r'x.toml:4: bench.leese: unknown key \(did you mean "lease"\?\); allowed: clock',
        ),
        ("seed =", "sed =", r'x.toml:7: world.sed: unknown key \(did you mean "seed"\?\); allowed: .*beam'),
        ("beam.waist", "beam.wast", r"x.toml:8: world.beam.wast: unknown key .*waist"),
        ("exposure =", "exposre =", r'x.toml:18: devices.camera.exposre: .*"exposure".*allowed: .*roi'),
        ("exposure =", "exposure_s =", r'x.toml:18: devices.camera.exposure_s: .*"exposure"'),
        (
            "timing =",
            "extra = 1\ntiming =",
            r"x.toml:31: devices.sequencer.extra: unknown key; allowed: .*slm",
        ),
        ("[servers.light]", "[sever.light]", r'x.toml:37: sever: unknown key \(did you mean "servers"\?\)'),
        ("row = 1", "raw = 1", r'x.toml:19: devices.camera.roi.raw: unknown key \(did you mean "row"\?\)'),
        ("limits.power", "limits.powr", r"x.toml:26: devices.source.limits.powr: .*power, pulse_picker"),
        (
            'max = "40',
            'most = "40',
            r"x.toml:26: devices.source.limits.power.most: unknown key; allowed: max, min",
        ),
        ("origin_row", "origin", r"x.toml:41: alignment.prbm.origin: unknown key .*origin_row"),
        # units
        (
            "16.7 ms",
            "5 W",
            r'x.toml:18: devices.camera.exposure: "5 W" has the wrong unit .*allowed: .*in s.*16.7 ms',
        ),
        ('"16.7 ms"', "0.0167", r"devices.camera.exposure: 0.0167 has no unit; allowed: .*example"),
        ("16.7 ms", "fast", r'devices.camera.exposure: "fast" is not a quantity'),
        ("16.7 ms", "nan s", r'devices.camera.exposure: "nan s" is not a quantity'),
        (
            "5.2 mm",
            "5.2 s",
            r'x.toml:8: world.beam.waist: "5.2 s" has the wrong unit .*allowed: a value in m',
        ),
        ('"1 s"', "true", r"x.toml:4: bench.lease: .* is not a quantity; allowed: a value in s, for example"),
        # ranges
        ("75 ms", "75 s", r'x.toml:13: devices.slm.settle: "75 s" is out of range; allowed: 0 to 10 s'),
        ("20 %", "120 %", r'x.toml:24: devices.source.power: "120 %" is out of range; allowed: 0 to'),
        ("20 %", "50 %", r'x.toml:24: devices.source.power: "50 %" is out of range; allowed: 0 to 0.4'),
        ("40 %", "140 %", r"x.toml:26: devices.source.limits.power.max: .*out of range; allowed: 0 to 1"),
        ("620 nm", "570 nm", r"x.toml:27: devices.source.limits.wavelength_min: min .* lies above max"),
        (
            "580 nm",
            "300 nm",
            r"x.toml:27: devices.source.limits.wavelength_min.min: .*allowed: 4e-07 to 2.4e-06 m",
        ),
        (
            "picker = 2",
            "picker = 41",
            r"x.toml:25: devices.source.pulse_picker: 41 is out of range; allowed: 1 to 40",
        ),
        ("seed = 7", "seed = -1", r"x.toml:7: world.seed: -1 is out of range; allowed: at least 0"),
        ("5.2 mm", "5.2 m", r'x.toml:8: world.beam.waist: "5.2 m" is out of range; allowed: at most 0.1 m'),
        ("1 s", "90 s", r'x.toml:4: bench.lease: "90 s" is out of range; allowed: at most 60 s'),
        ("row = 3", "row = -3", r"x.toml:41: alignment.prbm.origin_row: -3 is out of range"),
        # wrong types and choices
        (
            "picker = 2",
            "picker = 2.5",
            r"devices.source.pulse_picker: 2.5 is not a whole number; allowed: .* 1 to 40",
        ),
        ("picker = 2", "picker = true", r"devices.source.pulse_picker: true is not a whole number"),
        ('"software"', '"sofware"', r'x.toml:31: .*did you mean "software".*"auto", "hardware", "software"'),
        ('"software"', "3", r"devices.sequencer.timing: 3 has the wrong type"),
        ("roi = {", "roi = 3 # {", r"devices.camera.roi: 3 is not a table; allowed: { row"),
        ("rows = 3", "rows = 3.0", r'x.toml:19: devices.camera.roi: Expected "int"'),
        ('limits.power = { max = "40 %" }', 'limits.power = "40 %"', r"limits.power: .* is not a range"),
        ('limits.power = { max = "40 %" }', "limits.power = {}", r"limits.power: an empty range"),
        ("exposure =", "limits = 3\nexposure =", r"x.toml:18: devices.camera.limits: 3 is not what"),
        ("seed = 7", "bodies = [{waist = 1}]", r"x.toml:7: world.bodies\[0\].waist: 1 has no unit"),
        ("seed = 7", "beam.profile = 1", r'world.beam.profile: 1 has no unit; allowed: .*, or "uniform"'),
        ('name = "table"', "name = 3", r"x.toml:2: bench.name: 3 is not what this key takes; allowed: text"),
        ('name = "table"', 'name = ""', r"x.toml:2: bench.name"),
        ("[world]\nseed = 7\nbeam.waist", "[bench.more]\nwaist", r"x.toml:6: bench.more: unknown key"),
        # what light and instruments forbid
        ("power =", "emission = true\npower =", r"devices.source.emission: needs a lease"),
        ("exposure =", "bit_depth = 16\nexposure =", r"devices.camera.bit_depth: read-only"),
        # missing keys
        ('name = "table"\n', "", r"x.toml:1: bench.name: missing; allowed: text"),
        ('kind = "camera"\n', "", r"x.toml:15: devices.camera.kind: missing; allowed: camera, photodetector"),
        ('slm = "slm"\n', "", r"x.toml:29: devices.sequencer.slm: missing; allowed: text"),
        ("origin_row = 3", "", r"x.toml:40: alignment.prbm.origin_row: missing; allowed: a whole number"),
        (
            'world = "prbm"\n',
            "",
            r"x.toml:1: bench.world: missing, but there is a \[world\] table; allowed: prbm",
        ),
        # names that must be registered
        ('kind = "camera"', 'kind = "camra"', r'devices.camera.kind: "camra" .*did you mean "camera"'),
        ('kind = "camera"', 'kind = "photodetector"', r'"photodetector" has no simulated backend'),
        ('kind = "camera"', "kind = 3", r"devices.camera.kind: 3 is not what this key takes; allowed: text"),
        ('world = "prbm"', 'world = "prb"', r'x.toml:3: bench.world: "prb" .*did you mean "prbm"'),
        ("alignment.prbm", "alignment.nep", r'x.toml:40: alignment.nep: "nep" is no registered alignment'),
        ('timing = "software"', 'driver = "andor"', r'devices.sequencer.driver: "andor" drives a camera'),
        ('timing = "software"', 'driver = "sequenser"', r'driver: "sequenser" .*did you mean "sequencer"'),
        # backends, time, servers
        (
            'backend = "simulated"\nexp',
            'backend = "simulate"\nexp',
            r'camera.backend: .*did you mean "simulated"',
        ),
        (
            'backend = "simulated"\nexp',
            'backend = "replay"\nexp',
            r"camera.file: missing; allowed: text",
        ),
        (
            'backend = "simulated"\nexp',
            "exp",
            r'x.toml:15: devices.camera.backend: missing; allowed: "simulated"',
        ),
        (
            'backend = "simulated"\nexp',
            'backend = "real"\nexp',
            r"devices.camera.driver: missing; allowed: andor",
        ),
        (
            'backend = "simulated"\nexp',
            'backend = "real"\nexp',
            r'bench.clock: "virtual" time.*camera; allowed: clock',
        ),
        ('"source"]', '"sorce"]', r'x.toml:38: servers.light.devices\[0\]: .*did you mean "source"'),
        ('"source"]', '"source", "slm"]', r'servers.light.devices\[1\]: "slm" is already in server "optics"'),
        ('["source"]', "[]", r"servers.light.devices: "),
        ('"slm", "camera", ', '"slm", ', r"x.toml:35: servers: no server has camera"),
        ("[devices.slm]", '[devices."s l m"]', r'x.toml:10: devices."s l m": not a name for a device'),
        # somebody else's validator
        ("seed = 7", "seed = 13", r"x.toml:6: world: .* cannot read this table \(TypeError: unlucky\)"),
    ],
)
def test_a_mistake_is_explained_with_line_key_and_cure(write: Write, old: str, new: str, expected: str) -> None:
    found = problems(write((old, new)))
    assert any(re.search(expected, line) for line in found), found


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(write: Write) -> None:
    path = write(("lease", "leese"), ("5.2 mm", "5.2 s"), ("16.7 ms", "5 W"), ('"source"]', '"sorce"]'))
    assert [re.match(r"x.toml:(\d+)", line)[1] for line in problems(path)] == ["4", "8", "18", "35", "38"]  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "bench = 3\ndevices = 4\nworld = 5\nservers = 6\nalignment = 7",
        "[[bench]]\n[[devices]]\n",
        'devices = { camera = 3 }\nservers = { a = 3 }\nalignment = { prbm = 3 }\n[bench]\nname = "a"',
        "[bench]\nname = 2020-01-01\nworld = 2020-01-01T00:00:00\nclock = 07:00:00\nlease = inf\n",
        '[bench]\nname = "a"\n',
        '[bench]\nname = "a"\n[devices]\n',
    ],
)
def test_wrong_shapes_are_problems(write: Write, text: str) -> None:
    assert any("devices" in line for line in problems(write(text=text)))


def test_simulated_devices_need_a_world(write: Write) -> None:
    text = '[bench]\nname = "a"\n[devices.camera]\nkind = "camera"\nbackend = "simulated"\n'
    assert problems(write(text=text)) == ["x.toml:1: bench.world: missing, but simulated: camera; allowed: prbm"]


def test_a_bench_without_simulation_needs_no_world(write: Write) -> None:
    text = (
        '[bench]\nname = "a"\nclock = "real"\n'
        '[devices.camera]\nkind = "camera"\nbackend = "real"\ndriver = "andor"\nport = 1\n'
    )
    assert load_bench(write(text=text)).world_parameters is None


# --- files that are none ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "x.toml: the file is empty"),
        (b"# only a note\n\n", "x.toml: the file is empty"),
        (b"[bench]\nname = \n", "x.toml:2: not valid TOML (Invalid value)"),
        (b"[bench]\nname = 'a", "x.toml:2: not valid TOML"),
        (b"[bench]\nname = 1\nname = 2\n\n", "x.toml:"),
        (b"[bench]\nname = '\xff'\n", "x.toml:2: not UTF-8 text"),
        (b"\x00\x01\x02", "x.toml:1: not valid TOML"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "x.toml: brackets are nested too deeply"),
        (b"a = " + b"1" * 5000, "x.toml: not valid TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_one_problem(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    (found,) = problems("x.toml")
    assert found.startswith(expected)


def test_a_missing_file_a_directory_and_a_pipe_are_problems(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    assert problems("none.toml") == ["none.toml: no such file; allowed: a bench file (.toml)"]
    (told,) = problems("elsewhere/prbm-sim.toml")
    assert told.endswith('no such file; allowed: a bench file (.toml), or "prbm-sim", which comes with labctl')
    assert problems("folder.toml") == ["folder.toml: a directory; allowed: a bench file (.toml)"]
    assert problems("pipe.toml") == ["pipe.toml: not a regular file; allowed: a bench file (.toml)"]
    for source in ("", "\0", "\0.toml", "a" * 5000, "a" * 5000 + ".toml", Path()):
        assert len(problems(source)) == 1


def test_a_value_with_line_breaks_and_a_bad_character_stays_one_line(write: Write) -> None:
    (line,) = problems(write(("16.7 ms", "5 \\n\\u2028 W\\u001b")))
    assert line.isprintable()


# --- anything at all ----------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        *re.findall(r"\S+", VALID),
        "\n",
        "[",
        "]",
        "{",
        "}",
        '"',
        "=",
        ".",
        "#",
        "'''",
        '"""',
        "1e400",
        "inf",
        "nan",
    ]
)
_EDITS = st.lists(
    st.tuples(
        st.integers(0, len(VALID)),
        st.integers(0, 12),
        # "*" is left out: pint computes powers, and a tower of them takes for ever.
        st.one_of(st.text(alphabet=st.characters(exclude_characters="*"), max_size=8), _PIECES),
    ),
    min_size=1,
    max_size=4,
)


def _outcome(content: bytes, folder: Path) -> None:
    path = folder / "fuzz.toml"
    path.write_bytes(content)
    try:
        bench = load_bench(path)
    except ConfigurationError as error:
        lines = str(error).splitlines()
    else:
        assert isinstance(bench, BenchConfig)
        return
    assert lines
    assert all(line.startswith("fuzz.toml") and line.isprintable() for line in lines)


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_give_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    _outcome(content, tmp_path)


@given(_EDITS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_edits_give_a_bench_or_a_configuration_error(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = VALID
    for start, length, replacement in edits:
        text = text[:start] + replacement + text[start + length :]
    _outcome(text.encode("utf-8", "surrogatepass"), tmp_path)


_TOML_VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "1.5",
        "true",
        '"5 ms"',
        '"x"',
        "[]",
        "[1]",
        "{}",
        "{ a = 1 }",
        "2020-01-01",
        "inf",
        "nan",
        '""',
    ]
)


@given(st.sampled_from([i for i, line in enumerate(VALID.splitlines()) if "=" in line]), _TOML_VALUES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_under_any_key_is_read_or_refused(tmp_path: Path, line: int, value: str) -> None:
    lines = VALID.splitlines()
    lines[line] = lines[line].split("=")[0] + "= " + value
    _outcome("\n".join(lines).encode(), tmp_path)
