"""The report as one HTML file, pictures in it: by paper, each figure beside what was published, and why they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from labctl import html
from labctl.reproduce.choose import Entry
from labctl.reproduce.compare import SIGMAS, with_error
from labctl.reproduce.mark import mark
from labctl.reproduce.paper import Paper

_STYLE = """
h1 { line-height: 1.2; } h2 { margin-top: 2.4em; } h3 { margin: 2em 0 .2em; } p { max-width: 50em; }
table { width: 100%; } td, th { border-bottom: 1px solid #e4e4e4; overflow-wrap: normal; } td.n { white-space: nowrap; }
img { max-height: 34em; } small { color: #555; font-weight: normal; }
.yes { color: #17692c; } .no { color: #b3261e; font-weight: 600; } .open { color: #666; } .wide { overflow-x: auto; }
.verdict { white-space: nowrap; } .why { color: #444; font-size: 93%; } details { margin: .4em 0 1em; color: #444; }
"""
"""Beside the rules of all reports."""
_BY = {
    "paper": "paper",
    "derived": "by the paper’s equations",
    "independent": "computed independently",
    "theory": "theory",
}
_MARKS = {True: ("yes", "as published"), False: ("no", "differs"), None: ("open", "not judged")}


def page(entries: Sequence[tuple[Entry, Mapping[str, Any]]], pictures: Path, command: str, seconds: float) -> str:
    """The report as HTML. pictures: the folder they are in. command: that made it. seconds: of all measurements."""
    papers = list({entry.paper.key: entry.paper for entry, _ in entries}.values())
    sections = "".join(
        _section(paper, [told for entry, told in entries if entry.paper is paper], pictures) for paper in papers
    )
    heading = "<h1>Figures measured again, beside what was published</h1>\n"
    body = f"{heading}{_head(entries, command, seconds)}{_contents(papers, entries)}{sections}"
    return html.document("Figures measured again", body, _STYLE)


def _head(entries: Sequence[tuple[Entry, Mapping[str, Any]]], command: str, seconds: float) -> str:
    all_told = [told for _, told in entries]
    states = {s: sum(t["state"] == s for t in all_told) for s in ("measured", "failed", "not measured")}
    oks = {ok: sum(t["state"] == "measured" and t["ok"] is ok for t in all_told) for ok in (True, False, None)}
    commits = sorted(
        {str(t["commit"])[:12] + (" with changes" if t["changed"] == "yes" else "") for t in all_told if t["commit"]}
    )
    versions: Mapping[str, str] = next((t["versions"] for t in all_told if t["versions"]), {})
    quick = any(t["quick"] for t in all_told)
    kind = (
        "<p><b>This is a quick report.</b> Settings are smaller and statistics lower than those of the full one "
        "(<code>labctl reproduce</code>); errors are larger accordingly, promises of the figures’ usual settings do "
        "not hold for it, and some effects do not show.</p>"
        if quick
        else ""
    )
    return (
        f"{kind}<p>{states['measured']} figures were measured, {states['failed']} failed, "
        f"{states['not measured']} are not measured yet. Of those that were measured {oks[True]} meet all published "
        f"values and targets, {oks[False]} do not, and {oks[None]} have none that could be judged.</p>"
        f"<p>Everything is simulated: equations, or light on simulated tables through the drivers’ contract. No "
        f"instrument was measured. An uncertainty is a standard error: as the figure states it, or by the scatter of "
        f"repeated measurements with other seeds and other tables. A value is as published if it differs by no more "
        f"than {SIGMAS:g} standard errors of both and a tolerance; where no tolerance is given, both are shown and "
        f"nothing is judged, for the reason given beside it. In the small drawings the line is the published value, "
        f"blue its standard error, gray what is allowed, and the point ours with its standard error. “Computed "
        f"independently” are numbers by another program, written from the paper’s equations alone, where the paper "
        f"shows a curve and prints no number.</p>"
        f"<p><small>Made {datetime.now(UTC):%Y-%m-%d %H:%M UTC} by <code>{escape(command)}</code>; commit "
        f"{escape(', '.join(commits) or 'not known')}; {seconds / 60:.1f} min of measurements. "
        f"{escape(', '.join(f'{k} {v}' for k, v in versions.items()))}</small></p>\n"
    )


def _contents(papers: Sequence[Paper], entries: Sequence[tuple[Entry, Mapping[str, Any]]]) -> str:
    parts = []
    for paper in papers:
        rows = "".join(
            f'<tr><td><a href="#{_anchor(told["name"])}">{escape(told["name"])}</a></td><td>{escape(told["source"])}'
            f"</td><td>{_first_value(told)}</td>{_cell(told)}</tr>"
            for entry, told in entries
            if entry.paper is paper
        )
        parts.append(
            f'<p><a href="#{_anchor(paper.key)}"><b>{escape(paper.title)}</b></a></p><div class="wide"><table><tr>'
            f"<th>figure</th><th>of the paper</th><th>first of its values: here / published</th><th></th></tr>"
            f"{rows}</table></div>\n"
        )
    return f"<h2>Contents</h2>\n{''.join(parts)}"


def _first_value(entry: Mapping[str, Any]) -> str:
    for row in entry["values"]:
        ours = with_error(row["ours"], row["uncertainty"])
        published = with_error(row["published"], row["published_uncertainty"])
        return f"{escape(row['label'])}: {escape(ours)} / {escape(published)} {escape(row['unit'])}"
    return ""


def _verdict(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Class and words: what became of an entry."""
    if entry["state"] != "measured":
        return "no", entry["state"]
    if entry["ok"] and not any(row["ok"] for row in entry["values"]):
        return "yes", "as promised"  # by the figure's own bounds; no published value of it is judged
    return _MARKS[entry["ok"]]


def _cell(entry: Mapping[str, Any]) -> str:
    kind, words = _verdict(entry)
    return f'<td class="{kind} verdict">{words}</td>'


def _section(paper: Paper, entries: Sequence[Mapping[str, Any]], pictures: Path) -> str:
    who = ". ".join(part for part in (paper.authors, paper.reference) if part)
    note = f"<p>{escape(paper.note)}</p>" if paper.note else ""
    return f'<h2 id="{_anchor(paper.key)}">{escape(paper.title)}</h2><p>{escape(who)}</p>{note}\n' + "".join(
        _entry(told, pictures) for told in entries
    )


def _entry(entry: Mapping[str, Any], pictures: Path) -> str:
    kind, words = _verdict(entry)
    error = entry["error"]
    failed = f'<p class="no">{escape(error["type"])}: {escape(error["message"])}</p>' if error else ""
    source = f" <small>{escape(entry['source'])}</small>" if entry["source"] else ""
    return (
        f'<h3 id="{_anchor(entry["name"])}">{escape(entry["name"])}{source} '
        f'<small class="{kind}">{words}</small></h3>\n'
        f"<p>{escape(entry['title'])}</p>{failed}"
        f"{_values(entry['values'])}{_targets(entry['targets'])}"
        f"{_remark(entry['why'])}"
        f"{''.join(_picture(pictures / name, entry['name']) for name in entry['pictures'])}{_details(entry)}"
    )


def _values(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td>{escape(row['label'])}{_unit(row['unit'])}</td>"
        f'<td class="n">{escape(with_error(row["ours"], row["uncertainty"]))}</td>'
        f'<td class="n">{escape(with_error(row["published"], row["published_uncertainty"]))}'
        f"<br><small>{_BY.get(row['published_by'] or '', '')}</small></td>"
        f'<td class="{_MARKS[row["ok"]][0]}">{mark(row)}<br>{escape(row["verdict"])}</td>'
        f"<td class=why>{escape(row['why'])} <small>Error: {escape(row['uncertainty_from'])}.</small></td></tr>"
        for row in rows
    )
    return (
        '<div class="wide"><table><tr><th>value</th><th>here</th><th>published</th>'
        f"<th>difference</th><th>remarks</th></tr>{lines}</table></div>\n"
    )


def _targets(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f'<tr><td>{escape(row["value"])}</td><td class="n">{escape(_all(row["ours"]))}</td>'
        f'<td class="n">{escape(_bounds(row))}</td>'
        f'<td class="{_MARKS[row["ok"]][0]}">{escape(_met(row))}</td></tr>'
        for row in rows
    )
    head = "<tr><th>promised by the figure</th><th>here</th><th>bounds</th><th></th></tr>"
    return f'<div class="wide"><table>{head}{lines}</table></div>\n'


def _all(values: Sequence[Any]) -> str:
    """The first, and between which of them the others lie."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < 2:
        return _short(values[0])
    return f"{_short(values[0])} ({_short(min(numbers))} to {_short(max(numbers))})"


def _met(row: Mapping[str, Any]) -> str:
    others = "" if row["met"] in (0, row["of"]) else f", in {row['met']} of {row['of']} measurements"
    return ("met" if row["ok"] else "missed") + others


def _remark(text: str) -> str:
    return f'<p class="why">{escape(text)}</p>' if text else ""


def _unit(text: str) -> str:
    return f" ({escape(text)})" if text else ""


def _bounds(row: Mapping[str, Any]) -> str:
    if row["max"] is None:
        return f"{row['min']:.6g} at least"
    return f"{row['max']:.6g} at most" if row["min"] is None else f"{row['min']:.7g} to {row['max']:.7g}"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (int, float)) else "none"


def _details(entry: Mapping[str, Any]) -> str:
    made = entry["measurements"]
    if not made:
        return ""
    commands = "\n".join(escape(m["command"]) for m in made)
    seeds = ", ".join(str(m["seed"]) for m in made)
    files = ", ".join(m["run_file"] for m in made)
    return (
        f"<details><summary>{len(made)} measurement{'s' if len(made) > 1 else ''}, {entry['seconds']:.1f} s "
        f"({entry['cpu_seconds']:.1f} s of a processor); seed {seeds}; commit {escape(str(entry['commit'])[:12])}"
        f"</summary><pre>{commands}</pre><p>Run files: {escape(files)}</p></details>\n"
    )


def _picture(path: Path, name: str) -> str:
    try:
        return html.inlined(path.read_bytes(), name)
    except OSError:  # removed since: the numbers stay
        return f"<p><small>The picture {escape(path.name)} is gone.</small></p>\n"


def _anchor(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)
