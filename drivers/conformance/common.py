"""Checks of every device: identity, description, settings and their limits, errors, `safe`."""

from __future__ import annotations

import threading
from typing import Any

from drivers.conformance.rig import Broken, Rig, Suite, expect, in_time, near, refused
from drivers.errors import DeviceError, LimitError
from drivers.settings import UNIT_SUFFIX, Limits, SettingInfo

SLOWEST_READ_S = 0.6
"""A setting that takes longer to read is later than any instrument of ours answers."""

_TYPES = {"float": (int, float), "int": (int,), "bool": (bool,), "str": (str,)}

COMMON = Suite("any")


def settings_of(device: Any) -> list[SettingInfo]:
    """Every setting as the device describes it, a proxy or the device itself."""
    description = getattr(device, "description", None) or device.describe()
    return list(description.settings)


def _numeric(device: Any) -> list[SettingInfo]:
    return [s for s in settings_of(device) if s.value_type in ("float", "int") and not s.read_only]


@COMMON.check
def identity_is_complete(rig: Rig) -> None:
    """Model and serial number are told, for the run file."""
    identity = rig.subject.identity()
    for part in ("model", "serial", "firmware"):
        text = getattr(identity, part)
        expect(isinstance(text, str) and bool(text.strip()), f"identity.{part} is {text!r}")


@COMMON.check
def identity_is_the_same_every_time(rig: Rig) -> None:
    """It is asked of the instrument and does not change."""
    expect(rig.subject.identity() == rig.subject.identity(), "two identities differ")


@COMMON.check
def settings_are_described(rig: Rig) -> None:
    """Every setting has words, and the unit that its name ends with."""
    for info in settings_of(rig.subject):
        expect(len(info.doc) > 5, f"{info.name} has no description")
        if info.unit is not None and info.unit in UNIT_SUFFIX:
            expect(info.name.endswith(UNIT_SUFFIX[info.unit]), f"{info.name} is in {info.unit}")


@COMMON.check
def snapshot_reads_every_setting(rig: Rig) -> None:
    """All of them, each of its type."""
    snapshot = rig.subject.snapshot()
    for info in settings_of(rig.subject):
        expect(info.name in snapshot, f"{info.name} is missing from the snapshot")
        types = _TYPES.get(info.value_type)
        expect(types is None or isinstance(snapshot[info.name], types), f"{info.name} = {snapshot[info.name]!r}")


@COMMON.check
def settings_are_read_in_time(rig: Rig) -> None:
    """No setting takes longer to read than an instrument of its kind."""
    for info in settings_of(rig.subject):
        in_time(f"reading {info.name}", lambda n=info.name: getattr(rig.subject, n), SLOWEST_READ_S)  # type: ignore[misc]


@COMMON.check
def settings_keep_what_they_read(rig: Rig) -> None:
    """Writing back what was read changes nothing."""
    for info in settings_of(rig.subject):
        if info.read_only or info.needs_lease:
            continue
        value = getattr(rig.subject, info.name)
        setattr(rig.subject, info.name, value)
        again = getattr(rig.subject, info.name)
        if isinstance(value, float):
            near(info.name, again, value, relative=1e-6, absolute=1e-15)
        else:
            expect(again == value, f"{info.name} = {again!r} after writing back {value!r}")


def _outside(info: SettingInfo) -> list[float]:
    limits: Limits = info.limits
    beyond = []
    if limits.maximum is not None:
        beyond.append(limits.maximum * 1.5 + 1)
    if limits.minimum is not None:
        beyond.append(limits.minimum - abs(limits.minimum) * 0.5 - 1)
    return beyond


@COMMON.check
def values_beyond_the_limits_are_refused(rig: Rig) -> None:
    """With an error that names the setting, and nothing is changed."""
    for info in _numeric(rig.subject):
        before = getattr(rig.subject, info.name)
        for value in _outside(info):
            value = int(value) if info.value_type == "int" else float(value)
            told = refused(LimitError, lambda v=value, n=info.name: setattr(rig.subject, n, v), info.name)  # type: ignore[misc]
            expect(info.name.split("_")[0] in told, f"{info.name}: the error does not name it: {told}")
            expect(getattr(rig.subject, info.name) == before, f"{info.name} changed though it was refused")


@COMMON.check
def values_that_are_not_finite_are_refused(rig: Rig) -> None:
    """Neither infinite nor undefined."""
    for info in _numeric(rig.subject):
        if info.value_type == "float":
            for value in (float("nan"), float("inf")):
                refused(LimitError, lambda v=value, n=info.name: setattr(rig.subject, n, v), info.name)  # type: ignore[misc]


@COMMON.check
def values_of_the_wrong_type_are_refused(rig: Rig) -> None:
    """Text for a number, a number for text."""
    for info in settings_of(rig.subject):
        if info.read_only:
            continue
        wrong: Any = 3.5 if info.value_type == "str" else "much"
        before = getattr(rig.subject, info.name)
        refused(LimitError, lambda w=wrong, n=info.name: setattr(rig.subject, n, w), info.name)  # type: ignore[misc]
        expect(getattr(rig.subject, info.name) == before, f"{info.name} changed though it was refused")


@COMMON.check
def choices_are_kept(rig: Rig) -> None:
    """What is none of the choices is refused."""
    for info in settings_of(rig.subject):
        if info.choices is not None and not info.read_only:
            refused(LimitError, lambda n=info.name: setattr(rig.subject, n, "none of them"), info.name)  # type: ignore[misc]


@COMMON.check
def safe_may_be_called_again_and_again(rig: Rig) -> None:
    """It is idempotent, and the device works afterwards."""
    for _ in range(3):
        rig.subject.safe()
    rig.subject.snapshot()


@COMMON.check
def safe_may_be_called_from_another_thread_at_any_moment(rig: Rig) -> None:
    """While the device is being read."""
    failures: list[BaseException] = []

    def make_safe() -> None:
        try:
            for _ in range(5):
                rig.subject.safe()
        except Exception as error:  # noqa: BLE001 - told below, in the thread of the check
            failures.append(error)

    thread = threading.Thread(target=make_safe)
    thread.start()
    try:
        for _ in range(3):
            rig.subject.snapshot()
    except DeviceError as error:
        raise Broken(f"a reading failed because of safe(): {error}") from error
    finally:
        thread.join(30)
    expect(not thread.is_alive(), "safe() hangs")
    if failures:
        raise Broken(f"safe() failed: {failures[0]}")
