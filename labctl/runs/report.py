"""A run as one HTML file, pictures in it: nothing else is needed to read it."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl import html
from labctl.runs.data import RunData
from labctl.runs.plot import picture
from labctl.runs.units import unit_of

_BRIEF_PANELS = 8
_LONGEST = 300


def write(run: RunData, path: Path) -> None:
    """Write the report of a run. ConfigurationError if ``path`` cannot be written."""
    html.write(path, page(run), "--to")


def page(run: RunData) -> str:
    """The report as HTML."""
    told = run.told
    parts = {
        str(k): {name: part[name] for name in ("start_time", "first_step", "status", "end_time") if name in part}
        for k, part in enumerate(told["parts"])
    }
    bench = {key: told.get(key) for key in ("bench", "bench_path", "fingerprint", "bench_overrides", "at")}
    sections = [
        _table("", _what(run)),
        _table("Results", _with_units(run.results)),
        *(f"<h2>Pictures</h2>{pictures}" for pictures in [_pictures(run)] if pictures),
        _table("Parameters", told.get("parameters") or {}),
        _table("Bench", {key: value for key, value in bench.items() if value}),
        _table("Devices", told.get("devices") or {}),
        _table("Calibrations in force", told.get("calibrations") or {}),
        _table("Recovered", told.get("recoveries") or {}),
        _table("Interlocks that tripped", told.get("interlocks") or {}),
        _table("Parts", parts if len(parts) > 1 else {}),
        _table("Steps", told["series"]),
        _table("Data", told["data"]),
        _table("Made with", {**told["versions"], **{f"git {k}": v for k, v in told["git"].items()}}),
        *_bench_files(run),
    ]
    return html.document(run.name, f"<h1>{escape(str(told['protocol']))}</h1>\n{''.join(sections)}")


def brief(run: RunData) -> str:
    """What a notebook shows of a run: what it was, its numbers, its steps as a picture."""
    numbers = {name: value for name, value in run.results.items() if isinstance(value, (bool, int, float))}
    return f"<div>{_table('', _what(run))}{_table('', _with_units(numbers))}{_plot(run, _BRIEF_PANELS)}</div>"


def _what(run: RunData) -> dict[str, Any]:
    told, repeat = run.told, run.told["repeat"]
    begun = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(told["begun_s"]))
    why = f": {told['why']}" if told.get("why") else ""
    what = {
        "run": told["path"],
        "protocol": f"{told['protocol']}, seed {told.get('seed', 0)}",
        "status": f"{told['status']}{why}",
        "begun": f"{begun}, took {told.get('duration_s', 0.0):.1f} s, {told['steps']} steps",
        "again": f"{repeat['text']}   in {repeat['folder']}" if repeat["text"] else repeat["note"],
    }
    return {key: value for key, value in what.items() if value}


def _pictures(run: RunData) -> str:
    """Those that the experiment drew, and one of all that the file has."""
    found = "".join(html.inlined(Path(p).read_bytes(), Path(p).stem) for p in run.told["pictures"])
    return found + _plot(run)


def _plot(run: RunData, most: int = 16) -> str:
    try:
        figure, _ = picture(run, most=most)
    except ConfigurationError:  # nothing to show
        return ""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    return html.inlined(drawn.getvalue(), f"what {run.name} saved")


def _bench_files(run: RunData) -> list[str]:
    with run.reading() as arrays:
        return [
            f"<h2>{title}</h2><pre>{escape(arrays.texts[key])}</pre>\n"
            for key, title in (("bench_file", "Bench file"), ("bench_overlay", "Its overlay"))
            if arrays.texts.get(key)
        ]


def _with_units(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: f"{_text(value)}{f' {unit}' if (unit := unit_of(name)) and not isinstance(value, str) else ''}"
        for name, value in values.items()
    }


def _table(title: str, rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f'<tr><th>{escape(str(key))}</th><td class="n">{escape(_text(value))}</td></tr>' for key, value in rows.items()
    )
    return f"{f'<h2>{title}</h2>' if title else ''}<table>{lines}</table>\n"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        text = ", ".join(_text(item) for item in value[:20])
        return _cut(f"{text}, … ({len(value)})" if len(value) > 20 else text)
    if hasattr(value, "shape") and value.shape:
        return f"{value.dtype} {tuple(int(n) for n in value.shape)}"
    return f"{value:.6g}" if isinstance(value, float) else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
