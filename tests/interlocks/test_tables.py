"""What is wrong with an interlock in a bench file is told with its line and what is allowed, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drill import APART, BENCH, drill_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.quantity import parse_quantity
from labctl.bench.interlocks import RULES, notes
from labctl.bench.load import load_bench
from labctl.bench.problems import BenchFileError
from labctl.safety.device_rules import ReadingWithin, SettingWithin
from labctl.safety.laser_rules import Dose, Ramp
from labctl.safety.rules import Light, Seen

FIRST = (BENCH + APART).count("\n") + 1
"""Line of a rule that follows."""


def problem(folder: Path, rules: str) -> str:
    with pytest.raises(BenchFileError) as raised:
        load_bench(drill_file(folder, rules))
    (only,) = raised.value.problems
    return f"{(only.line or 0) - FIRST}: {only.key}: {only.found}; {only.allowed}"


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("[interlocks.tap]\ndevice = 3", "0: interlocks.tap.rule: missing; armed, camera, pattern, "),
        (
            '[interlocks.tap]\nrule = "readings"',
            '1: interlocks.tap.rule: "readings" is no rule (did you mean "reading"?); armed, ',
        ),
        ('[interlocks.tap]\nrule = "reading"', "0: interlocks.tap.device: missing; text"),
        (
            '[interlocks.tap]\nrule = "reading"\ndevice = "metre"',
            '2: interlocks.tap.device: "metre" is no device of this bench (did you mean "meter"?); slm, ',
        ),
        (
            '[interlocks.tap]\nrule = "reading"\ndevice = "slm"',
            '2: interlocks.tap.device: "slm" is a slm, which the rule reading cannot watch; meter',
        ),
        (
            '[interlocks.tap]\nrule = "reading"\ndevice = "meter"\nmax = "15 mm"',
            '3: interlocks.tap.max: "15 mm" has the wrong unit',
        ),
        (
            '[interlocks.tap]\nrule = "reading"\ndevice = "meter"\nmin = "2 W"\nmax = "1 W"',
            "0: interlocks.tap: min 2 W lies above max 1 W; min up to max",
        ),
        (
            '[interlocks.tap]\nrule = "reading"\ndevice = "meter"\nwithin = "20 ms"',
            "3: interlocks.tap.within: 0.02 s is too short for a device that is looked at every 0.05 s; at least 0.1 s",
        ),
        (
            '[interlocks.tap]\nrule = "armed"\nguards = ["meter"]',
            '2: interlocks.tap.guards[0]: "meter" is a photodetector, which has no emission to turn off; pump',
        ),
        ('[interlocks.tap]\nrule = "armed"\nguards = ["pumpe"]', '2: interlocks.tap.guards[0]: "pumpe" is no device'),
        ('[interlocks.tap]\nrule = "armed"\nguards = []', "2: interlocks.tap.guards: it must be a list of devices"),
        ('[interlocks.tap]\nrule = "armed"\nfrom = 3', "2: interlocks.tap.from: unknown key; every, for, guards, rule"),
        (
            '[interlocks.tap]\nrule = "setting"\ndevice = "camera"\nsetting = "shutter"\nequals = true',
            '3: interlocks.tap.setting: "shutter" is no setting of camera that can be watched; ',
        ),
        (
            '[interlocks.tap]\nrule = "setting"\ndevice = "camera"\nsetting = "exposure"\nmax = 3',
            "4: interlocks.tap.max: 3 has no unit; for example",
        ),
        (
            '[interlocks.tap]\nrule = "setting"\ndevice = "camera"\nsetting = "exposure"',
            "3: interlocks.tap.setting: no bounds; min, max or equals",
        ),
        (
            '[interlocks.tap]\nrule = "ramp"\nrate = "1 W"',
            '2: interlocks.tap.rate: "1 W" has the wrong unit',
        ),
        ('[interlocks.tap]\nrule = "ramp"\nrate = "-1 W/s"', "2: interlocks.tap.rate: -1 W/s is no rise"),
        (
            '[interlocks.tap]\nrule = "read-back"\nmonitor = "output"',
            '2: interlocks.tap.monitor: pump has no setting "output" in the unit of its set-point; power',
        ),
        (
            '[interlocks.tap]\nrule = "dose"\nper = "week"\nlimit = "1 J"',
            '2: interlocks.tap.per: "week" is none of the choices',
        ),
        ('[interlocks."a b"]\nrule = "armed"', '0: interlocks."a b": not a name for an interlock'),
        ("[interlocks]\ntap = 3", "1: interlocks.tap: 3 is not a table"),
    ],
)
def test_a_wrong_table_is_told_with_line_and_cure(tmp_path: Path, rules: str, told: str) -> None:
    assert problem(tmp_path, rules).startswith(told)


def test_two_ramps_of_a_laser_are_one_too_many(tmp_path: Path) -> None:
    two = '[interlocks.a]\nrule = "ramp"\nrate = "1 W/s"\n[interlocks.b]\nrule = "ramp"\nrate = "2 W/s"'
    assert "pump has the ramp a already" in problem(tmp_path, two)


def test_a_bench_without_light_has_no_interlocks(tmp_path: Path) -> None:
    path = tmp_path / "dark.toml"
    path.write_text(
        '[bench]\nname = "dark"\nworld = "rail"\n[devices.slm]\nkind = "slm"\nbackend = "simulated"\n'
        '[interlocks.key]\nrule = "armed"\n'
    )
    with pytest.raises(BenchFileError, match="no device of this bench emits"):
        load_bench(path)


def test_quantities_are_read_in_the_unit_of_what_is_watched(tmp_path: Path) -> None:
    config = load_bench(
        drill_file(
            tmp_path,
            '[interlocks.short]\nrule = "setting"\ndevice = "camera"\nsetting = "exposure"\nmax = "10 ms"\n'
            '[interlocks.slow]\nrule = "ramp"\nrate = "20 mW/s"\n'
            '[interlocks.dose]\nrule = "dose"\nper = "day"\nlimit = "50 mJ"\n',
        )
    )
    short, slow, dose = (config.interlocks[name].rule for name in ("short", "slow", "dose"))
    assert isinstance(short, SettingWithin)
    assert isinstance(slow, Ramp)
    assert isinstance(dose, Dose)
    assert (short.setting, short.max, slow.rate, dose.limit) == ("exposure_s", 0.01, 0.02, 0.05)
    assert config.interlocks["short"].guards == ("pump",)


def test_interlocks_are_part_of_what_a_bench_does(tmp_path: Path) -> None:
    without = load_bench(drill_file(tmp_path, "")).fingerprint
    one, other = (
        load_bench(drill_file(tmp_path, f'[interlocks.key]\nrule = "armed"\nfor = "{t}"')).fingerprint
        for t in ("1 h", "60 min")
    )
    assert without != one == other


def test_a_detector_beside_busy_devices_is_noted(tmp_path: Path) -> None:
    rules = '[interlocks.tap]\nrule = "reading"\ndevice = "meter"\nmax = "15 mW"\n'
    assert notes(load_bench(drill_file(tmp_path, rules))) == []
    (note,) = notes(load_bench(drill_file(tmp_path, rules, servers="")))
    assert "meter shares server main with slm, camera, sequencer" in note
    assert "of its own" in note


_TEXTS = st.sampled_from(["1 W", "2 mW", "3 s", "1 J", "4 W/s", "meter", "pump", "camera", "slm", "exposure", "day"])
_VALUES = st.one_of(
    _TEXTS,
    st.text(alphabet=st.characters(codec="ascii", exclude_characters="\x7f"), max_size=8),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(_TEXTS, max_size=3),
)
_KEYS = sorted({f.alias or name for rule in RULES.values() for name, f in rule.model_fields.items()} | {"else"})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=st.sampled_from(sorted(RULES)), keys=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5))
def test_any_table_is_read_or_refused_with_its_line(tmp_path: Path, rule: str, keys: dict[str, Any]) -> None:
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {**keys, "rule": rule}.items())
    try:
        config = load_bench(drill_file(tmp_path, f"[interlocks.any]\n{table}\n"))
    except BenchFileError as error:
        for found in error.problems:
            assert (found.line or 0) >= FIRST, found
            assert found.key.startswith("interlocks.any")
        return
    interlock = config.interlocks["any"]
    assert interlock.guards == ("pump",)
    assert all(device in config.devices for device in interlock.rule.watched(interlock.guards))


@settings(max_examples=60, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1), power=st.floats(0, 1))
def test_a_reading_is_judged_by_its_bounds(low: float, high: float, power: float) -> None:
    low, high = min(low, high), max(low, high)
    text = {"min": f"{low!r} W", "max": f"{high!r} W"}
    rule = ReadingWithin.model_validate({"rule": "reading", "device": "meter", "frozen": 0, **text})
    light = Light(lit=True, since_ns=0, now_ns=2_000_000_000)
    fits = parse_quantity(text["min"], "W") <= power <= parse_quantity(text["max"], "W")
    assert (rule.judge("meter", Seen(1_900_000_000, [power, power], 1), light) is None) == fits
