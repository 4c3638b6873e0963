"""A run as one HTML file, pictures in it: nothing else is needed to read it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl.runs.data import RunData
from labctl.runs.plot import picture
from labctl.runs.units import unit_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 64em; padding: 0 1em; color: #222; }
h2 { margin-top: 1.6em; border-bottom: 1px solid #ccc; } table { border-collapse: collapse; margin: .6em 0; }
td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: #666; font-weight: 600; white-space: nowrap; } td.n { font-variant-numeric: tabular-nums; }
img { max-width: 100%; } pre { background: #f5f5f5; padding: .8em; overflow-x: auto; font-size: 85%; }
"""
_BRIEF_PANELS = 8
_LONGEST = 300


def write(run: RunData, path: Path) -> None:
    """Write the report of a run. ConfigurationError if ``path`` cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(run), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write the report {path}: {error}; choose another --to") from None


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
    name = escape(run.name)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"</head><body>\n<h1>{escape(str(told['protocol']))}</h1>\n{''.join(sections)}</body></html>\n"
    )


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
    found = "".join(_inlined(Path(p).read_bytes(), Path(p).stem) for p in run.told["pictures"])
    return found + _plot(run)


def _plot(run: RunData, most: int = 16) -> str:
    try:
        figure, _ = picture(run, most=most)
    except ConfigurationError:  # nothing to show
        return ""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    return _inlined(drawn.getvalue(), f"what {run.name} saved")


def _inlined(png: bytes, name: str) -> str:
    return f'<p><img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>\n'


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
