"""Any SLM of slmsuite by the name of its class: slmsuite's own screen SLM on an X server, and its simulated one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from screens import COLUMNS, ROWS, arrives, elsewhere, gray_on_panel, pattern, shown, small_world

from drivers.contract import ConfigurationError, DeviceError, DeviceTimeout, LimitError
from drivers.slmsuite_any import AnySlmsuiteSLM
from drivers.slmsuite_screen import ScreenSLM
from simulators.emulators.by_name import ScreenByName
from simulators.worlds.prbm import PrbmWorld

TIMEOUT_S = 4.0
SLACK_S = 3.0


@pytest.fixture(scope="module")
def world() -> PrbmWorld:
    return small_world()


@pytest.fixture(scope="module")
def server(world: PrbmWorld) -> Iterator[tuple[ScreenByName, dict[str, Any]]]:
    emulator = ScreenByName("slm", world)
    try:
        yield emulator, emulator.start()
    finally:
        emulator.stop()


@pytest.fixture
def screen(server: tuple[ScreenByName, dict[str, Any]]) -> Iterator[ScreenByName]:
    emulator, _ = server
    yield emulator
    emulator.inject(None)


@pytest.fixture
def make(screen: ScreenByName, server: tuple[ScreenByName, dict[str, Any]]) -> Iterator[Callable[..., AnySlmsuiteSLM]]:
    """Opens drivers on the emulated screen, and closes them."""
    opened = []

    def make(**more: Any) -> AnySlmsuiteSLM:
        slm = AnySlmsuiteSLM("slm", AnySlmsuiteSLM.Options(**{"timeout": f"{TIMEOUT_S} s"} | server[1] | more))
        opened.append(slm)
        slm.open()
        return slm

    yield make
    screen.inject(None)
    for slm in opened:
        slm.close()


@pytest.fixture
def slm(make: Callable[..., AnySlmsuiteSLM]) -> AnySlmsuiteSLM:
    return make()


# --- patterns ---------------------------------------------------------------------------------------------------------


def test_patterns_are_pixel_exact_on_the_screen_and_in_the_worlds_panel(
    slm: AnySlmsuiteSLM, screen: ScreenByName, world: PrbmWorld
) -> None:
    for seed in range(20):
        slm.write_gray(pattern(seed))
        assert arrives(lambda seed=seed: np.array_equal(shown(screen), pattern(seed)))
        assert np.array_equal(slm.read_back(), pattern(seed))
    assert arrives(lambda: np.array_equal(gray_on_panel(world), pattern(19)))


def test_phase_becomes_the_nearest_level_and_not_slmsuites(slm: AnySlmsuiteSLM, screen: ScreenByName) -> None:
    slm.write(np.zeros((ROWS, COLUMNS)))  # of which slmsuite itself makes 255
    assert arrives(lambda: not shown(screen).any())
    phase = np.random.default_rng(1).uniform(-20, 20, (ROWS, COLUMNS))
    slm.write(phase)
    wanted = np.rint(phase * (256 / (2 * np.pi))).astype(int) % 256
    assert arrives(lambda: np.array_equal(shown(screen), wanted))


def test_writing_the_same_pattern_again_does_not_shift_it(slm: AnySlmsuiteSLM, screen: ScreenByName) -> None:
    for _ in range(3):
        slm.write_gray(pattern(21))
    assert arrives(lambda: np.array_equal(shown(screen), pattern(21)))


def test_what_does_not_fit_is_refused_and_changes_nothing(slm: AnySlmsuiteSLM, screen: ScreenByName) -> None:
    slm.write_gray(pattern(22))
    for wrong in (np.zeros((ROWS + 1, 2), np.uint8), np.zeros((2, 2)), np.full((2, 2), 256, np.uint16)):
        with pytest.raises(LimitError):
            slm.write_gray(wrong)
    assert arrives(lambda: np.array_equal(shown(screen), pattern(22)))


def test_opening_and_closing_blank_the_panel(make: Callable[..., AnySlmsuiteSLM], screen: ScreenByName) -> None:
    slm = make()
    slm.write_gray(pattern(23))
    slm.close()
    assert arrives(lambda: not shown(screen).any())
    slm.open()
    assert arrives(lambda: not shown(screen).any())


def test_settings_tell_the_panel(slm: AnySlmsuiteSLM) -> None:
    assert (slm.rows, slm.columns, slm.levels) == (ROWS, COLUMNS, 256)
    assert slm.pixel_pitch_m == pytest.approx(8e-6)
    assert slm.sequence_memory == 0


# --- who it is --------------------------------------------------------------------------------------------------------


def test_a_class_that_tells_no_serial_number_is_said_not_to(make: Callable[..., AnySlmsuiteSLM]) -> None:
    slm = make()
    identity = slm.identity()
    assert "ScreenMirrored" in identity.model
    assert identity.serial == "not told"
    assert "0.5.0" in identity.firmware
    slm.close()
    named = make(model="PLUTO-NIR-011", serial="6010-0007").identity()
    assert (named.model, named.serial) == ("PLUTO-NIR-011", "6010-0007")


def test_a_class_that_tells_another_serial_number_than_before_is_noticed(slm: AnySlmsuiteSLM) -> None:
    with slm._link.talk("test") as line:
        line.slm.serial = "A1"  # as classes of slmsuite for USB panels do
    assert slm.identity().serial == "A1"
    slm._check_serial("A1")
    slm._check_serial("")
    with pytest.raises(DeviceError, match="A1 was connected and now it is B2"):
        slm._check_serial("B2")


def test_another_slm_than_the_bench_file_names_is_refused(make: Callable[..., AnySlmsuiteSLM]) -> None:
    slm = make(serial="A1")
    with pytest.raises(ConfigurationError, match="tells serial number B2, the bench file says A1"):
        slm._check_serial("B2")


# --- life and loss ----------------------------------------------------------------------------------------------------


def test_opening_and_closing_leaks_nothing(make: Callable[..., AnySlmsuiteSLM]) -> None:
    slm = make()
    slm.close()

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = held()
    for _ in range(3):
        slm.open()
        slm.write_gray(pattern(24))
        slm.close()
        slm.close()
    assert arrives(lambda: held() <= before, SLACK_S), (before, held())


def test_a_window_that_is_opened_anew_shows_the_pattern_of_before(slm: AnySlmsuiteSLM, screen: ScreenByName) -> None:
    slm.write_gray(pattern(25))
    slm._link.drop()
    slm.write_gray(pattern(26)[:5, :5], whole=False)
    expected = pattern(25)
    expected[:5, :5] = pattern(26)[:5, :5]
    assert arrives(lambda: np.array_equal(shown(screen), expected))


def test_a_server_that_does_not_answer_is_a_timeout_and_safe_does_not_wait_for_it(
    slm: AnySlmsuiteSLM, screen: ScreenByName
) -> None:
    screen.inject("frozen")
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout):
        slm.write_gray(pattern(27))
    assert time.monotonic() - begun < TIMEOUT_S + 1 + SLACK_S
    begun = time.monotonic()
    slm.safe()
    assert time.monotonic() - begun < 0.5
    with pytest.raises(DeviceError, match="still hangs"):
        slm.write_gray(pattern(27))
    screen.inject(None)
    slm.write_gray(pattern(28))
    assert arrives(lambda: np.array_equal(shown(screen), pattern(28)))


def test_closing_on_a_server_that_does_not_answer_comes_to_an_end(
    make: Callable[..., AnySlmsuiteSLM], screen: ScreenByName
) -> None:
    slm = make(timeout="0.5 s")
    screen.inject("frozen")
    begun = time.monotonic()
    slm.close()
    assert time.monotonic() - begun < 0.5 + 5 + SLACK_S
    screen.inject(None)
    assert arrives(lambda: not any(t.name == "slm-slmsuite" for t in threading.enumerate()), 10.0)
    slm.open()


def test_safe_stops_a_wait(slm: AnySlmsuiteSLM) -> None:
    slm.base_settle_s = 10.0
    slm.write_gray(pattern(29))
    timer = threading.Timer(0.2, slm.safe)
    timer.start()
    with pytest.raises(DeviceError, match="stopped by safe"):
        slm.settle()
    timer.join()


def test_a_closed_device_says_so(slm: AnySlmsuiteSLM) -> None:
    slm.close()
    slm.safe()
    with pytest.raises(DeviceError, match="not open"):
        slm.write_gray(pattern(30))


def test_the_process_outlives_its_x_server_and_says_that_it_is_gone() -> None:
    program = """
import numpy as np
from screens import BlankTable
from drivers.contract import DeviceError
from drivers.slmsuite_any import AnySlmsuiteSLM
from simulators.emulators.by_name import ScreenByName

for _ in range(2):
    emulator = ScreenByName("slm", BlankTable())
    slm = AnySlmsuiteSLM("slm", AnySlmsuiteSLM.Options(**emulator.start()))
    slm.open()
    slm.write_gray(np.full((24, 48), 9, np.uint8))
    emulator.stop()
    for _ in range(2):
        try:
            slm.write_gray(np.full((24, 48), 10, np.uint8))
        except DeviceError as error:
            assert "X11 server" in str(error), error
        else:
            raise SystemExit("nothing was noticed")
    slm.close()
print("survived")
"""
    done = elsewhere(program)
    assert done.stdout.endswith("survived\n"), done.stderr
    assert done.returncode == 0


def test_one_screen_is_one_slms_whatever_drives_it(
    slm: AnySlmsuiteSLM, server: tuple[ScreenByName, dict[str, Any]]
) -> None:
    where = {key: server[1][key] for key in ("x_display", "x_authority")}
    other = ScreenSLM("other", ScreenSLM.Options(display=1, panel_rows=ROWS, panel_columns=COLUMNS, **where))
    with pytest.raises(DeviceError, match=f"in use as an SLM by process {os.getpid()}"):
        other.open()
    slm.close()
    other.open()
    with pytest.raises(DeviceError, match="in use as an SLM"):
        slm.open()
    other.close()
    slm.open()


# --- what a bench file may get wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slm_class", "said"),
    [
        ("slmsuite.hardware.slms.nowhere.Nothing", "needed is module and class"),
        ("slmsuite.hardware.slms.simulated.Nothing", "needed is module and class"),
        ("Nothing", "needed is module and class"),
        ("os.path.join", "no SLM of slmsuite"),
    ],
)
def test_a_class_that_is_no_slm_is_a_configuration_error(slm_class: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        any_slm(slm_class, {}).open()


def test_wrong_keywords_are_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"does not take keywords .*size.*; it takes \(resolution"):
        any_slm(SIMULATED, {"resolution": [COLUMNS, ROWS], "size": [COLUMNS, ROWS]}).open()


def test_a_screen_that_is_not_there_is_an_error(make: Callable[..., AnySlmsuiteSLM]) -> None:
    with pytest.raises(DeviceError, match="display_number=5; only 2 displays"):
        make(keywords={"display_number": 5, "gpu": False})


def test_a_server_that_is_not_there_is_an_error(make: Callable[..., AnySlmsuiteSLM]) -> None:
    with pytest.raises(DeviceError, match="no X11 server answers at ':4711'"):
        make(x_display=":4711")


def test_a_missing_package_is_named(make: Callable[..., AnySlmsuiteSLM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slmsuite", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'labctl\[hardware\]'"):
        make()


def test_without_a_class_there_is_nothing_to_build() -> None:
    with pytest.raises(ConfigurationError, match="`slm_class`"):
        AnySlmsuiteSLM.build("slm", None, None)  # type: ignore[arg-type]


# --- a class without a screen -----------------------------------------------------------------------------------------

SIMULATED = "slmsuite.hardware.slms.simulated.SimulatedSLM"


def any_slm(slm_class: str, keywords: dict[str, Any], **more: Any) -> AnySlmsuiteSLM:
    return AnySlmsuiteSLM("slm", AnySlmsuiteSLM.Options(slm_class=slm_class, keywords=keywords, **more))


def test_a_class_that_opens_no_window_is_written_by_its_name() -> None:
    slm = any_slm(SIMULATED, {"resolution": [COLUMNS, ROWS], "pitch_um": [8, 8]})
    slm.open()
    assert (slm.rows, slm.columns, slm.levels) == (ROWS, COLUMNS, 256)
    assert slm.pixel_pitch_m == pytest.approx(8e-6)
    slm.write_gray(pattern(38))
    slm.write(np.full((2, 2), np.pi), 3, 4)
    expected = pattern(38)
    expected[3:5, 4:6] = 128
    assert np.array_equal(slm.read_back(), expected)
    assert "SimulatedSLM" in slm.identity().model
    slm.close()


def test_an_slm_of_ten_bits_has_its_own_levels() -> None:
    slm = any_slm(SIMULATED, {"resolution": [COLUMNS, ROWS], "bitdepth": 10})
    slm.open()
    assert slm.levels == 1024
    slm.write(np.full((2, 2), np.pi))
    assert slm.read_back()[0, 0] == 512
    slm.close()
