"""How benches and devices show themselves, as text and in notebooks: what they are set to, who has control, what emits.

To look costs two requests of a device, one of each server of a bench, and never waits for a measurement that is under
way; what cannot be told is said in place of it, since showing a thing must not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from drivers.errors import LabError
from drivers.settings import DeviceDescription, Limits, SettingInfo
from labctl.bus.connection import Connection

_SNAPSHOT_TIMEOUT_S = 2.0
_LONGEST = 60
_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_STYLE = "text-align:left;vertical-align:top;padding-right:1em"
_FREE = "nobody"


@dataclass(frozen=True)
class Look:
    """What was seen of a device. control: by whom, "" by nobody. trouble: why the rest is missing."""

    description: DeviceDescription
    control: str | None = None
    emission: bool | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""


def look_at(
    description: DeviceDescription, calls: Connection, status: Callable[[], dict[str, Any]] | None = None
) -> Look:
    """The device now. status: asks its server, on a lane that is never busy."""
    control: str | None = None
    emission: bool | None = None
    try:
        if status is not None:
            told = status()
            control = _control(told, description.name)
            emission = _emission(told, description.name) if _emits(description) else None
            if told.get("busy"):
                return Look(
                    description, control, emission, trouble="busy with a call; settings are not asked meanwhile"
                )
        values = calls.request(description.name, "snapshot", timeout_s=_SNAPSHOT_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - a bench that is closed, a server that died: said, not raised
        return Look(description, control, emission, trouble=_trouble(error))
    return Look(description, control, values.get("emission", emission), values)


def device_text(look: Look) -> str:
    """A line about the device and one for each setting."""
    about = [f"{look.description.name}: {look.description.kind} ({look.description.backend})"]
    about += [text for text in (_light(look.emission), _controlled(look.control)) if text]
    rows = [(s.name, value, allowed) for s, value, allowed in _rows(look)]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
    lines = [f"  {n:{widths[0]}}  {v:{widths[1]}}  {a}".rstrip() for n, v, a in rows]
    return "\n".join([", ".join(about), *([f"  {look.trouble}"] if look.trouble else []), *lines])


def device_html(look: Look) -> str:
    """The same as a table; what a setting means is told where the pointer rests."""
    d = look.description
    about = f"<b>{escape(d.name)}</b> {escape(d.kind)} ({escape(d.backend)})"
    about += "".join(f", {escape(text)}" for text in (_light(look.emission), _controlled(look.control)) if text)
    trouble = f"<p><b>{escape(look.trouble)}</b></p>" if look.trouble else ""
    rows = [((s.name, value, allowed), s.doc) for s, value, allowed in _rows(look)]
    return f"<div><p>{about}</p>{trouble}{_table(('setting', 'value', 'allowed'), rows)}</div>"


def bench_text(name: str, devices: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """A line for each device."""
    rows = [("role", "kind", "backend", "light", "control"), *(row for row, _ in _bench_rows(devices, told))]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = ["  " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"bench {name}", *lines, *(f"  {text}" for text in _silent(told))])


def bench_html(name: str, devices: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """The same as a table."""
    silent = "".join(f"<p><b>{escape(text)}</b></p>" for text in _silent(told))
    table = _table(("role", "kind", "backend", "light", "control"), _bench_rows(devices, told))
    return f"<div><p>bench <b>{escape(name)}</b></p>{silent}{table}</div>"


def _bench_rows(devices: Mapping[str, Any], told: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    rows: list[tuple[tuple[str, ...], str]] = []
    for role, device in devices.items():
        d: DeviceDescription = device.description
        server = next((s for s in told.values() if isinstance(s, dict) and role in s.get("devices", {})), None)
        light = "?" if server is None else {True: "ON", False: "off", None: "not asked yet"}[_emission(server, role)]
        control = "?" if server is None else _control(server, role) or _FREE
        rows.append(((role, d.kind, d.backend, light if _emits(d) else "", control), d.doc.partition("\n")[0]))
    return rows


def _silent(told: Mapping[str, Any]) -> list[str]:
    return [f"server {name}: {_trouble(s)}" for name, s in told.items() if isinstance(s, Exception)]


def _trouble(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, LabError) else f"not reachable: {text}"


def _rows(look: Look) -> list[tuple[SettingInfo, str, str]]:
    return [(s, _value(look.values.get(s.name), s.unit), _allowed(s)) for s in look.description.settings]


def _value(value: Any, unit: str | None) -> str:
    if value is None:
        return "?"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _quantity(float(value), unit) if unit or isinstance(value, float) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "__struct_fields__"):
        value = ", ".join(f"{name} {getattr(value, name)}" for name in value.__struct_fields__)
    elif isinstance(value, Mapping):
        value = ", ".join(f"{key} {str(item)[:12]}" for key, item in value.items()) or "none"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _quantity(value: float, unit: str | None) -> str:
    if not unit or unit == "1" or value == 0 or value in (float("inf"), float("-inf")) or value != value:
        return f"{value:.6g}{f' {unit}' if unit and unit != '1' else ''}"
    power = next((p for p in sorted(_PREFIXES, reverse=True) if abs(value) >= 0.99999 * 10.0**p), -12)
    return f"{value / 10.0**power:.6g} {_PREFIXES[power]}{unit}"


def _allowed(setting: SettingInfo) -> str:
    if setting.read_only:
        return "told by the device"
    if setting.choices:
        return " | ".join(setting.choices)
    limits: Limits = setting.limits
    low, high = (None if x is None else _quantity(x, setting.unit) for x in (limits.minimum, limits.maximum))
    text = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
    return "needs control" if setting.needs_lease else text


def _control(status: Mapping[str, Any], device: str) -> str:
    """Who has control; "" for nobody."""
    return next((str(lease["holder"]) for lease in status.get("leases", ()) if device in lease["devices"]), "")


def _emits(description: DeviceDescription) -> bool:
    return any(s.name == "emission" for s in description.settings)


def _emission(status: Mapping[str, Any], device: str) -> bool | None:
    found = status.get("devices", {}).get(device, {}).get("emission")
    return None if found is None else bool(found)


def _light(emission: bool | None) -> str:
    return {True: "light ON", False: "light off", None: ""}[emission]


def _controlled(by: str | None) -> str:
    return "" if by is None else f"control: {by}" if by else "nobody has control"


def _table(head: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> str:
    titles = "".join(f'<th style="{_STYLE}">{escape(text)}</th>' for text in head)
    lines = ""
    for cells, tip in rows:
        shown = "".join(f'<td style="{_STYLE}">{escape(text)}</td>' for text in cells)
        lines += f'<tr title="{escape(tip)}">{shown}</tr>'
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
