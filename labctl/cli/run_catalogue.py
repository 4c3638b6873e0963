"""What `labctl runs` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from drivers.errors import ConfigurationError
from labctl.registry import suggestion
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.summary import FOREIGN, STATUSES, UNREADABLE, RunSummary

_LONG_READING = 200


def show_list(
    out: Path,
    protocol: str | None,
    status: str | None,
    bench: str | None,
    since: str | None,
    until: str | None,
    last: int | None,
    as_json: bool,
) -> int:
    """One line per run, or one object of JSON with all of them."""
    if status is not None and status not in STATUSES:
        raise ConfigurationError(
            f"--status {status}: no such status{suggestion(status, STATUSES)}; allowed: {', '.join(STATUSES)}"
        )
    begins, ends = _moment(since, "--since", 0), _moment(until, "--until", 1)
    catalogue = Catalogue(out)

    def reading(count: int) -> None:
        if count >= _LONG_READING:
            print(f"labctl: reading {count} run files that the catalogue does not know", file=sys.stderr)  # noqa: T201

    found = [run.now(out) for run in catalogue.runs(reading)]
    for message in catalogue.messages:
        print(f"labctl: {message}", file=sys.stderr)  # noqa: T201
    chosen = [
        run
        for run in found
        if (protocol is None or fnmatchcase(run.protocol, protocol))
        and (status is None or run.status == status)
        and (bench is None or run.bench == bench)
        and (begins is None or run.begun_s >= begins)
        and (ends is None or run.begun_s < ends)
    ]
    chosen = chosen[-last:] if last is not None else chosen
    if as_json:
        runs = [_with_text_name(run) for run in chosen]
        print(msgspec.json.encode({"folder": str(out.absolute()), "runs": runs}).decode())  # noqa: T201
    elif not chosen:
        print(f"no runs in {out}" if not found else f"none of the {len(found)} runs in {out} is such a one")  # noqa: T201
    else:
        _print_list(chosen)
    return 0


def _moment(text: str | None, option: str, days: int) -> float | None:
    """Unix time of a day or moment in local time; of a day, ``days`` later."""
    if text is None:
        return None
    try:
        if len(text) == 10:
            whole_day = date.fromisoformat(text) + timedelta(days=days)
            return datetime(whole_day.year, whole_day.month, whole_day.day).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"{option} {text}: no date; write 2026-11-27, 2026-11-27T09:30 or 2026-11-27T09:30:15"
        ) from None


def _with_text_name(run: RunSummary) -> dict[str, Any]:
    from labctl.runfile.reading import whole

    told: dict[str, Any] = {name: getattr(run, name) for name in run.__struct_fields__}
    return told | {"file": whole(run.file)} if not run.file.isascii() else told


def _print_list(runs: list[RunSummary]) -> None:
    lines = [("begun", "status", "protocol", "bench", "seed", "steps", "took", "file")]
    for run in runs:
        if run.status in (UNREADABLE, FOREIGN):
            lines.append(("", run.status, "", "", "", "", "", f"{_printable(run.file)}: {_printable(run.why)}"))
            continue
        again = f" x{run.parts}" if run.parts > 1 else ""
        lines.append(
            (
                _clock(run.begun_s), run.status + again, run.protocol, run.bench, str(run.seed), str(run.steps),
                _duration(run.duration_s) if run.duration_s else "", _printable(run.file),
            )
        )  # fmt: skip
    widths = [max(len(line[k]) for line in lines) for k in range(7)]
    text = "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[7]]).rstrip()
        for line in lines
    )
    print(text)  # noqa: T201


def show(given: str, out: Path, as_json: bool) -> int:
    """All of one run."""
    from labctl.runfile.file import find_run
    from labctl.runs.details import details_of

    told = details_of(find_run(given, out))
    if as_json:
        print(msgspec.json.encode(told).decode())  # noqa: T201
        return 0
    for line in _described(told):
        print(line)  # noqa: T201
    return 0


def _described(told: Mapping[str, Any]) -> Iterable[str]:
    why = f": {told['why']}" if told.get("why") else ""
    yield told["path"]
    yield f"{told['protocol']}, seed {told.get('seed', 0)}, {told['status']}{why}"
    steps = f", {told['steps']} steps" if told.get("steps") else ""
    yield f"begun {_clock(told['begun_s'])}, took {_duration(told.get('duration_s', 0.0))}{steps}"
    yield from _section("parts", _parts(told["parts"]) if len(told["parts"]) > 1 else {})
    yield from _section("bench", _bench(told))
    yield from _section("parameters", told.get("parameters", {}))
    devices = told.get("devices") or {}
    yield from _section("devices", {name: _inline(who) for name, who in devices.items()})
    yield from _section("calibrations in force", told.get("calibrations", {}))
    yield from _section("made with", {**told["versions"], **{f"git {k}": v for k, v in told["git"].items()}})
    for name in ("recoveries", "interlocks"):
        value = told.get(name)
        yield from _section(name, value if isinstance(value, Mapping) else {name: value} if value else {})
    yield from _section("steps", told["series"])
    yield from _section("data", told["data"])
    yield from _section("results", told.get("results", {}))
    yield from _section("pictures", {Path(path).name: path for path in told["pictures"]})
    repeat = told["repeat"]
    yield ""
    yield f"again: {repeat['text'] or 'there is no command'}{' (' + repeat['note'] + ')' if repeat['note'] else ''}"
    if repeat["text"]:
        yield f"  in {repeat['folder']}"
        yield f"that, with the bench file it had then, and compared: labctl repeat {told['path']}"
    if told["checkpoint"] and told["status"] in ("killed", "interrupted", "failed"):
        yield f"to go on from its checkpoint: labctl resume {told['path']}"


def _bench(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": told.get("bench", ""),
        "file": told.get("bench_path", ""),
        "fingerprint": told.get("fingerprint", ""),
        "machine": told.get("at") or "this one",
        **{f"--set {key}": value for key, value in (told.get("bench_overrides") or {}).items()},
    }


def _parts(parts: list[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(k): f"{part.get('start_time', '')}, from step {part.get('first_step', 0)}, "
        + (f"{part['status']} at {part.get('end_time', '')}" if "status" in part else "not ended")
        for k, part in enumerate(parts)
    }


def _section(title: str, entries: Mapping[str, Any]) -> Iterable[str]:
    if not entries:
        return
    yield ""
    yield title
    width = min(max(map(len, entries)), 40)
    for name, value in entries.items():
        yield f"  {name:{width}}  {_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inline(item)}" for key, item in value.items())
    if isinstance(value, list):
        shown = ", ".join(_inline(item) for item in value[:12])
        return f"{shown}, … ({len(value)})" if len(value) > 12 else shown
    return f"{value:.6g}" if isinstance(value, float) else _printable(str(value))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
