"""Whether a calibration still holds: its time is not over, the devices are the ones it was made with and set as then,
and its last check found nothing against it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

from drivers.contract import Identity
from labctl.store.calibration import Header
from labctl.store.log import Verdict

Objection = Literal["stale", "foreign", "drifted", "unsuited"]


def objections(
    header: Header,
    devices: Mapping[str, Identity],
    now: datetime | None = None,
    role: str = "",
    verdict: Verdict | None = None,
    settings: Mapping[str, float] | None = None,
) -> dict[Objection, str]:
    """What speaks against using a calibration, empty if nothing does.

    devices: identities by role; those not given are not judged. role: what the device it is about is called now, if
    that has changed. verdict: of its last check. settings: values of `settings_needed`; those not given are not judged.
    """
    found: dict[Objection, str] = {}
    now = now or datetime.now(UTC)
    if header.valid_until is not None and now > header.valid_until:
        age = _duration((now - header.valid_until).total_seconds())
        found["stale"] = f"was valid until {header.valid_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {age} ago"
    for measured_role, then in header.devices.items():
        name = (role or measured_role) if measured_role == header.role else measured_role
        today = devices.get(name)
        if today is not None and not same_device(then, today):
            found["foreign"] = (
                f"was measured with {name} = {_who(then)}, and the bench has {_who(today)}; another device has another "
                "calibration"
            )
    if verdict is not None and not verdict.holds:
        found["drifted"] = f"failed its check of {verdict.at:%Y-%m-%d %H:%M} UTC: {verdict.why}"
    others = [
        f"{condition}, and it is {value:.6g}"
        for condition, name in zip(header.holds_while, settings_needed(header, role), strict=True)
        if (value := (settings or {}).get(name)) is not None and not condition.met(value)
    ]
    if others:
        found["unsuited"] = f"holds while {'; '.join(others)}"
    return found


def settings_needed(header: Header, role: str = "") -> tuple[str, ...]:
    """``ROLE.SETTING`` of each condition of ``header.holds_while``, with the roles of today."""
    found = []
    for condition in header.holds_while:
        measured_role, _, name = condition.setting.partition(".")
        found.append(f"{(role or measured_role) if measured_role == header.role else measured_role}.{name}")
    return tuple(found)


def refusal(found: Mapping[Objection, str], accept: Collection[str]) -> str:
    """The objections that the bench file does not accept, as one sentence; "" if none is left."""
    left = {what: why for what, why in found.items() if what not in accept}
    return " and ".join(f"is {what}: it {why}" for what, why in left.items())


def cure(routine: str, bench: str, refused: Collection[str] = ()) -> str:
    """What to do about a calibration that is missing or refused. bench: as `--bench` takes it."""
    accept = ", ".join(f'"{what}"' for what in refused)
    other = f", or set accept = [{accept}] in [calibrations] of the bench file" if accept else ""
    return f"measure it: `labctl calibrate {routine} --bench {bench}`{other}"


def same_device(then: Identity, today: Identity) -> bool:
    """Whether two identities are of one device: equal serial numbers, and models where neither tells a number."""
    if then.serial != today.serial:
        return False
    nameless = then.serial.strip() in ("", "not told")
    return not nameless or then.model == today.model


def _who(identity: Identity) -> str:
    return f"{identity.model} (serial {identity.serial or 'not told'})"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
