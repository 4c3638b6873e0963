"""What a calibration run found, as one HTML file: numbers, checks, pictures; nothing else is needed to read it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np

from labctl import html
from labctl.environment import release
from labctl.experiments.calibrate import Calibrated
from labctl.experiments.routine import routine
from labctl.runfile.file import pictures_of
from labctl.store import Calibration, Check, Measured

_STYLE = """.made, .valid, .pass { color: #17692c; } .failed, .fail { color: #b3261e; } .waiting { color: #8a5a00; }
"""
_WORDS = {
    "made": "measured, in force",
    "measured": "measured, not kept",
    "valid": "still valid, not measured",
    "failed": "failed",
    "waiting": "not measured",
}


def write(path: Path, bench: str, results: Sequence[Calibrated]) -> None:
    """Write the report of a bench. ConfigurationError if ``path`` cannot be written."""
    html.write(path, page(bench, results), "--report")


def page(bench: str, results: Sequence[Calibrated]) -> str:
    """The report as HTML."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = (
        f'<tr><td><a href="#{_anchor(r.name)}">{escape(r.name)}</a></td><td class="{r.state}">{_WORDS[r.state]}</td>'
        f"<td>{escape(r.why) if r.state in ('failed', 'waiting') else ''}</td></tr>"
        for r in results
    )
    title = f"Calibration of {bench}"
    body = (
        f"<h1>{escape(title)}</h1><p>{now}, {escape(release())}</p>"
        f"<table>{''.join(rows)}</table>\n{''.join(_section(r) for r in results)}"
    )
    return html.document(title, body, _STYLE)


def _section(result: Calibrated) -> str:
    doc = (inspect.getdoc(routine(result.name)) or "").partition("\n\n")[0]
    why = f'<p class="{result.state}">{escape(result.why)}</p>' if result.why else ""
    parts = [
        f'<h2 id="{_anchor(result.name)}">{escape(result.name)} '
        f'<small class="{result.state}">{_WORDS[result.state]}</small></h2>'
        f"<p>{escape(doc)}</p>{why}",
        *(_calibration(c) for c in result.calibrations),
        *(html.inlined(path.read_bytes(), path.stem) for path in _pictures(result)),
    ]
    if result.outcome is not None:
        o = result.outcome
        parts.append(f"<p>Took {o.seconds:.1f} s, {o.bench_seconds:.1f} s on the table.</p>")
    return "\n".join(parts) + "\n"


def _calibration(c: Calibration) -> str:
    end = c.valid_until.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if c.valid_until else "for good"
    devices = ", ".join(f"{role}: {who.model}, serial {who.serial}" for role, who in c.devices.items())
    about = {
        "id": f"<code>{c.id or 'not kept'}</code>",
        "measured": f"{c.made.astimezone(UTC):%Y-%m-%d %H:%M UTC}, valid until {end}",
        "devices": escape(devices),
        "conditions": escape(", ".join(f"{name} {_number(m)}" for name, m in c.conditions.items())),
        "holds while": escape("; ".join(str(condition) for condition in c.holds_while)),
        "stands on": " ".join(f"<code>{parent[:12]}</code>" for parent in c.parents),
        "raw data": f"<code>{escape(c.run.path)}</code>" if c.run else "",
    }
    values = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{escape(_number(m))}</td></tr>' for name, m in c.values.items()
    )
    return (
        f"<h3>{escape(c.role)}: {escape(c.kind)}</h3><table>{values}</table>"
        f"<table>{''.join(_check(check) for check in c.checks)}</table>"
        f"<table>{''.join(f'<tr><th>{key}</th><td>{text}</td></tr>' for key, text in about.items() if text)}</table>"
    )


def _check(check: Check) -> str:
    word = "pass" if check.passed else "fail"
    return f'<tr><td class="{word}">{word}</td><td>{escape(str(check))}</td></tr>'


def _number(m: Measured) -> str:
    unit = "" if m.unit == "1" else f" {m.unit}"
    if m.value.size == 0:
        return "none"
    error = "" if m.uncertainty is None else f" ± {np.mean(m.uncertainty):.2g}"
    complex_numbers = m.value.dtype.kind == "c"
    values = np.abs(m.value) if complex_numbers else m.value.astype(np.float64)
    if m.value.size == 1:
        return f"{values.reshape(())[()]:.6g}{error}{unit}"
    shape = " x ".join(map(str, m.value.shape))
    what = "absolute values" if complex_numbers else "numbers"
    values = values[~np.isnan(values)]  # what is left out on purpose, as levels beyond a turn
    if not values.size:
        return f"{shape} {what}, all of them undefined"
    return f"{shape} {what}, {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}{error}{unit}"


def _pictures(result: Calibrated) -> Iterable[Path]:
    """Those that the routine drew of the run, wherever that was."""
    runs = [Path(c.run.path) for c in result.calibrations if c.run]
    if result.run_file is not None:
        runs.append(result.run_file.absolute())  # one that failed has found nothing, and is looked at the more
    for path in dict.fromkeys(runs):
        yield from pictures_of(path)


def _anchor(name: str) -> str:
    return escape(name.replace(".", "-"))
