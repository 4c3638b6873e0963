"""Settings: type, unit and limits are checked once for every backend, and nothing changes when a value is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.contract import ROI, ConfigurationError, LimitError, Limits, Sequence
from drivers.errors import ERROR_TYPES, DeviceTimeout, LabError
from drivers.settings import Configurable, operation, setting


class Oven(Configurable):
    """A device with one setting of every type."""

    kind = "oven"

    temperature_k = setting(float, unit="K", minimum=0, maximum=1000, doc="Set-point.")
    share_fraction = setting(float, unit="1", minimum=0, maximum=1, doc="A fraction.")
    steps = setting(int, minimum=1, maximum=40, doc="A count.")
    heater = setting(bool, needs_lease=True, doc="On or off.")
    mode = setting(str, choices=("slow", "fast"), doc="How.")
    region = setting(ROI, doc="Where.")
    serial = setting(str, read_only=True, doc="Who.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.values: dict[str, Any] = {"temperature_k": 300.0, "steps": 2, "heater": False, "mode": "slow"}

    def __getattr__(self, name: str) -> Any:
        key = name.partition("_")[2].partition("_")[2]
        if name.startswith("_read_"):
            return lambda: self.values.get(key)
        if name.startswith("_write_"):
            return lambda value: self.values.__setitem__(key, value)
        raise AttributeError(name)

    @operation()
    def bake(self, minutes: float = 3.0) -> None:
        """Heat for a while."""

    @operation(observes=True)
    def look(self) -> float:
        """See without touching."""
        return 0.0


@pytest.fixture
def oven() -> Oven:
    return Oven("oven")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature_k", "300", "oven.temperature_k = '300': a finite float in K is needed"),
        ("temperature_k", True, "oven.temperature_k = True: a finite float in K is needed"),
        ("temperature_k", float("nan"), "a finite float in K is needed"),
        ("temperature_k", float("inf"), "a finite float in K is needed"),
        ("share_fraction", None, "oven.share_fraction = None: a finite float is needed"),
        ("steps", 2.0, "oven.steps = 2.0: a int is needed"),
        ("steps", True, "oven.steps = True: a int is needed"),
        ("heater", 1, "oven.heater = 1: a bool is needed"),
        ("mode", 3, "oven.mode = 3: a str is needed"),
        ("region", (0, 0, 1, 1), "a ROI is needed"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(oven: Oven, name: str, value: Any, message: str) -> None:
    before = dict(oven.values)
    with pytest.raises(LimitError, match=message.replace("(", r"\(")):
        setattr(oven, name, value)
    assert oven.values == before


@pytest.mark.parametrize("value", [-0.1, 1000.1])
def test_a_limit_error_names_device_value_unit_and_limit(oven: Oven, value: Any) -> None:
    with pytest.raises(
        LimitError, match=rf"^oven\.temperature_k = {value} K is outside 0 to 1000; nothing was changed$"
    ):
        oven.temperature_k = value
    assert oven.temperature_k == 300.0


@pytest.mark.parametrize("value", [0, 1000, 1e-300])
def test_limits_themselves_are_allowed(oven: Oven, value: Any) -> None:
    oven.temperature_k = value
    assert oven.temperature_k == value


def test_a_whole_number_is_a_float(oven: Oven) -> None:
    oven.temperature_k = 5
    assert type(oven.temperature_k) is float


def test_a_numpy_double_is_a_float(oven: Oven) -> None:
    oven.temperature_k = np.float64(5.0)
    assert oven.temperature_k == 5.0


def test_a_choice_that_is_none_is_refused(oven: Oven) -> None:
    with pytest.raises(LimitError, match=r"oven\.mode = 'best': choose one of slow, fast"):
        oven.mode = "best"


def test_what_is_read_only_cannot_be_written(oven: Oven) -> None:
    with pytest.raises(LimitError, match=r"oven\.serial is read-only"):
        oven.serial = "x"


def test_a_limit_error_is_a_value_error() -> None:
    assert issubclass(LimitError, ValueError)


# --- narrowing --------------------------------------------------------------------------------------------------------


def test_limits_can_be_narrowed(oven: Oven) -> None:
    oven.restrict("temperature_k", Limits(maximum=400.0))
    with pytest.raises(LimitError, match="is outside 0 to 400"):
        oven.temperature_k = 401.0


def test_limits_can_never_be_widened(oven: Oven) -> None:
    oven.restrict("temperature_k", Limits(minimum=100.0, maximum=400.0))
    oven.restrict("temperature_k", Limits(minimum=-5.0, maximum=5000.0))
    assert oven.limits("temperature_k") == Limits(minimum=100.0, maximum=400.0)


def test_each_end_is_narrowed_by_itself(oven: Oven) -> None:
    oven.restrict("temperature_k", Limits(minimum=100.0))
    oven.restrict("temperature_k", Limits(maximum=400.0))
    assert oven.limits("temperature_k") == Limits(minimum=100.0, maximum=400.0)


def test_narrowing_one_device_leaves_another_alone(oven: Oven) -> None:
    oven.restrict("temperature_k", Limits(maximum=400.0))
    assert Oven("other").limits("temperature_k").maximum == 1000


def test_restricting_an_unknown_setting_names_the_known_ones(oven: Oven) -> None:
    with pytest.raises(ConfigurationError, match="oven has no setting 'colour'; it has temperature_k, "):
        oven.restrict("colour", Limits(maximum=1.0))


# --- description ------------------------------------------------------------------------------------------------------


def test_the_description_tells_the_limits_in_force(oven: Oven) -> None:
    oven.restrict("temperature_k", Limits(maximum=400.0))
    described = {s.name: s for s in oven.describe().settings}
    assert described["temperature_k"].limits == Limits(minimum=0, maximum=400.0)
    assert described["heater"].needs_lease
    assert described["serial"].read_only
    assert described["mode"].choices == ("slow", "fast")


@pytest.mark.parametrize(
    ("name", "key"), [("temperature_k", "temperature"), ("share_fraction", "share"), ("steps", "steps")]
)
def test_a_bench_file_leaves_the_unit_suffix_out(oven: Oven, name: str, key: str) -> None:
    assert {s.name: s.file_key for s in oven.describe().settings}[name] == key


def test_operations_tell_whether_they_only_observe(oven: Oven) -> None:
    described = {o.name: o for o in oven.describe().operations}
    assert {name: o.observes for name, o in described.items()} == {"bake": False, "look": True}
    assert described["bake"].signature == "(minutes: 'float' = 3.0) -> 'None'"


def test_a_snapshot_holds_every_setting(oven: Oven) -> None:
    assert set(oven.snapshot()) == set(oven.declared_settings())


# --- errors -----------------------------------------------------------------------------------------------------------


def test_every_error_is_a_lab_error_and_keeps_its_type_over_the_bus() -> None:
    def all_of(cls: type[LabError]) -> set[type[LabError]]:
        return {cls, *(s for c in cls.__subclasses__() if c.__module__ == cls.__module__ for s in all_of(c))}

    assert set(ERROR_TYPES.values()) == all_of(LabError)
    assert ERROR_TYPES["DeviceTimeout"] is DeviceTimeout


# --- sequences --------------------------------------------------------------------------------------------------------


def sequence(**changes: Any) -> Sequence:
    fields: dict[str, Any] = {
        "base": np.zeros((4, 6)),
        "base_origin": (2, 3),
        "patches": np.ones((2, 1, 2)),
        "patch_origins": np.array([[2, 3], [5, 7]], np.int32),
        "offsets": np.array([0, 0, 1, 3], np.int32),
        "indices": np.array([0, 0, 1], np.int32),
    }
    return Sequence(**(fields | changes))


def test_a_sequence_that_fits_is_valid() -> None:
    sequence().validate(6, 9)
    assert len(sequence()) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": np.zeros(4)}, "needed are"),
        ({"patches": np.ones((2, 2))}, "needed are"),
        ({"patch_origins": np.zeros((3, 2), np.int32)}, "needed are"),
        ({"base": np.full((4, 6), np.nan)}, "a phase is not finite"),
        ({"patches": np.full((2, 1, 2), np.inf)}, "a phase is not finite"),
        ({"base_origin": (-1, 0)}, "base of 4x6 at row -1, column 0 does not fit the SLM's 6x9"),
        ({"base_origin": (3, 3)}, "base of 4x6 at row 3, column 3 does not fit"),
        ({"base_origin": (2, 4)}, "does not fit"),
        ({"patch_origins": np.array([[2, 3], [6, 0]], np.int32)}, r"patch 1 at \(6, 0\) of 1x2 pixels does not fit"),
        ({"patch_origins": np.array([[0, 8], [5, 7]], np.int32)}, r"patch 0 at \(0, 8\)"),
        ({"offsets": np.array([0], np.int32)}, "offsets must rise"),
        ({"offsets": np.array([1, 3], np.int32)}, "offsets must rise"),
        ({"offsets": np.array([0, 2, 1, 3], np.int32)}, "offsets must rise"),
        ({"offsets": np.array([0, 2], np.int32)}, "offsets must rise"),
        ({"indices": np.array([0, 0, 2], np.int32)}, "a patch index is outside 0 to 1"),
        ({"indices": np.array([0, -1, 1], np.int32)}, "a patch index is outside 0 to 1"),
    ],
)
def test_a_sequence_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        sequence(**changes).validate(6, 9)
