"""`labctl runs plot`, `report`, `export` and `prune`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from drivers.errors import ConfigurationError
from drivers.quantity import parse_quantity
from labctl.guard import FAILED
from labctl.registry import suggestion
from labctl.runfile.file import find_run
from labctl.runfile.summary import FOREIGN, STATUSES
from labctl.runs.data import RunData
from labctl.runs.prune import Candidate, Wanted, candidates, remove

_SIZES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def plot_run(given: str, out: Path, only: list[str], to: Path | None, as_json: bool) -> int:
    """The run in one picture."""
    from labctl.runs.plot import draw

    run = RunData(find_run(given, out))
    path = to or run.path.with_name(f"{run.name}-plot.png")
    left = draw(run, path, only)
    if as_json:
        print(json.dumps({"picture": str(path.absolute()), "left_out": left}))  # noqa: T201
    else:
        print(path)  # noqa: T201
        if left:
            print(f"labctl: no room for {', '.join(left)}; name what to show with --only", file=sys.stderr)  # noqa: T201
    return 0


def report_run(given: str, out: Path, to: Path | None, as_json: bool) -> int:
    """The run as one HTML file."""
    from labctl.runs.report import write

    run = RunData(find_run(given, out))
    path = to or run.path.with_name(f"{run.name}.html")
    write(run, path)
    print(json.dumps({"report": str(path.absolute())}) if as_json else path)  # noqa: T201
    return 0


def export_run(
    given: str | None, form: str | None, out: Path, into: Path | None, replace: bool, list_: bool, as_json: bool
) -> int:
    """The run in another format; or which formats there are."""
    from labctl.runs.export import export, formats

    if list_:
        found = formats()
        lines = [f"{name:{max(map(len, found), default=0)}}  {about}" for name, about in found.items()]
        print(json.dumps(found) if as_json else "\n".join(lines))  # noqa: T201
        return 0
    if given is None or form is None:
        raise ConfigurationError("labctl runs export: give a RUN and --format FORMAT, or --list")
    done = export(RunData(find_run(given, out)), form, into, replace=replace)
    if as_json:
        print(json.dumps({"files": [str(path.absolute()) for path in done.files], "left_out": done.left_out}))  # noqa: T201
        return 0
    for path in done.files:
        print(path)  # noqa: T201
    for name, why in done.left_out.items():
        print(f"labctl: left out: {name}: {why}", file=sys.stderr)  # noqa: T201
    return 0


def prune_runs(
    out: Path,
    older: str | None,
    statuses: list[str],
    larger: str | None,
    protocol: str | None,
    stores: list[Path],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove runs, or tell which would be."""
    if older is None and larger is None and not statuses and protocol is None:
        raise ConfigurationError("labctl runs prune: say which runs, with --older, --status, --larger or --protocol")
    for status in statuses:
        if status not in STATUSES or status in (FOREIGN, "running"):
            allowed = [s for s in STATUSES if s not in (FOREIGN, "running")]
            raise ConfigurationError(
                f"--status {status}: no such status of runs to be removed{suggestion(status, allowed)}; allowed: "
                f"{', '.join(allowed)}"
            )
    wanted = Wanted(_seconds(older), _bytes(larger), tuple(statuses), protocol)
    found = candidates(out, wanted, stores)
    kept = [(one, one.kept) for one in found if one.kept]
    going = [one for one in found if not one.kept]
    if not dry_run:
        failed = [(one, why) for one in going if (why := remove(one))]
        kept += failed
        going = [one for one in going if one not in [f for f, _ in failed]]
    if as_json:
        told = {
            "folder": str(out.absolute()),
            "dry_run": dry_run,
            "removed": [one.run.file for one in going],
            "bytes": sum(one.size for one in going),
            "kept": {one.run.file: why for one, why in kept},
        }
        print(json.dumps(told))  # noqa: T201
    else:
        _tell(going, kept, dry_run)
    return FAILED if not dry_run and any(why.startswith("it cannot") for _, why in kept) else 0


def _tell(going: list[Candidate], kept: list[tuple[Candidate, str]], dry_run: bool) -> None:
    word = "would go" if dry_run else "removed"
    for one in going:
        beside = f" and {len(one.files) - 1} beside it" if len(one.files) > 1 else ""
        again = ", could be gone on with" if any(f.suffix == ".checkpoint" for f in one.files) else ""
        print(f"{word}  {_size(one.size):>9}  {one.run.status:11}  {one.run.file}{beside}{again}")  # noqa: T201
    for one, why in kept:
        print(f"stays  {_size(one.size):>9}  {one.run.status:11}  {one.run.file}: {why}")  # noqa: T201
    if not going:
        print("no run would go" if dry_run else "no run was removed")  # noqa: T201
        return
    total = f"{len(going)} runs, {_size(sum(one.size for one in going))}"
    print(f"{total}, would go; to remove them: --delete" if dry_run else f"{total}, removed")  # noqa: T201


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_quantity(text, "s")
    except ValueError as error:
        raise ConfigurationError(f"--older {text}: {error}, or 30 days") from None
    if seconds < 0:
        raise ConfigurationError(f"--older {text}: an age is 0 or more; write for example '30 days'")
    return seconds


def _bytes(text: str | None) -> float | None:
    if text is None:
        return None
    for unit, size in _SIZES.items():
        number = text.removesuffix(unit).strip()
        if text.endswith(unit) and number.replace(".", "", 1).isdigit():
            return float(number) * size
    raise ConfigurationError(f"--larger {text}: no size; write for example 100MB or 2GB")


def _size(count: float) -> str:
    if count < 1000:
        return f"{count:.0f} B"
    unit, size = max(((u, s) for u, s in _SIZES.items() if s <= count), key=lambda one: one[1])
    return f"{count / size:.1f} {unit}"
