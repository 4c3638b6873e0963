"""What `labctl calibrations` does; the options are in `labctl.cli.commands.calibrations`."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.experiments.routine import summary
from labctl.guard import FAILED
from labctl.plain import plain
from labctl.registry import suggestion
from labctl.store import Calibration, Header, Store, Use, Verdict, archive, store_folder
from labctl.store.compare import Difference, compare
from labctl.store.file import header_of


def show_list(
    folder: Path | None, bench: str | None, role: str | None, kind: str | None, only_in_force: bool, as_json: bool
) -> int:
    """What there is."""
    store, config = _opened(folder, bench)
    headers = store.list(bench=config.name if config else None)
    for what, given, known in (
        ("--device", role, {r.role for r in headers}),
        ("--kind", kind, {r.kind for r in headers}),
    ):
        if given is not None and headers and given not in known:
            raise ConfigurationError(
                f"{what} {given}: no calibration in {store.path} has it{suggestion(given, known)}; there are "
                f"{', '.join(sorted(known))}"
            )
    in_force, last = _in_force(store, {r.bench for r in headers} | ({config.name} if config else set()))
    chosen = [
        r
        for r in headers
        if role in (None, r.role) and kind in (None, r.kind) and (r.id in in_force or not only_in_force)
    ]
    damaged = store.damaged()
    if as_json:
        told = [
            _told(r) | {"in_force": in_force.get(r.id, []), "verdicts": _verdicts(last.get(r.id, []))} for r in chosen
        ]
        print(json.dumps(plain({"store": str(store.path), "calibrations": told, "damaged": damaged})))  # noqa: T201
    else:
        for r in chosen:
            found = last.get(r.id, [])
            mark = " " if r.id not in in_force else "!" if any(not v.holds for v in found) else "*"
            state = "".join(
                f"  held {_when(v.at)}" if v.holds else f"  NO LONGER HOLDS ({_when(v.at)}: {v.why})" for v in found
            )
            print(  # noqa: T201
                f"{mark} {r.short_id}  {_when(r.made)}  {r.bench}  {r.role}.{r.kind}  {r.routine}  {_end(r)}{state}"
            )
        if not chosen:
            print(f"no calibrations in {store.path}")  # noqa: T201
    for reason in damaged.values():
        print(f"labctl: {reason}", file=sys.stderr)  # noqa: T201
    return FAILED if damaged else 0


def show(folder: Path | None, bench: str | None, calibration_id: str, as_json: bool) -> int:
    """One of them."""
    store, _ = _opened(folder, bench)
    c = store.get(store.find(calibration_id))
    told = _told(c) | {"values": summary(c.values)}
    if as_json:
        print(json.dumps(plain(told)))  # noqa: T201
        return 0
    print(c.title)  # noqa: T201
    print(f"  id           {c.id}\n  bench        {c.bench}\n  valid until  {_end(c)}")  # noqa: T201
    for role, who in c.devices.items():
        print(f"  device       {role}: {who.model}, serial {who.serial}, firmware {who.firmware}")  # noqa: T201
    for name, condition in c.conditions.items():
        print(f"  condition    {name} = {condition.number:.6g} {condition.unit}")  # noqa: T201
    for needed in c.holds_while:
        print(f"  holds while  {needed}")  # noqa: T201
    for name, value in summary(c.values).items():
        print(f"  value        {name}: {_value(value)}")  # noqa: T201
    for check in c.checks:
        print(f"  check        {check}: {'passed' if check.passed else 'FAILED'}")  # noqa: T201
    for parent in c.parents:
        print(f"  stands on    {parent[:12]}")  # noqa: T201
    if c.run is not None:
        print(f"  raw data     {c.run.path} (sha256 {c.run.sha256[:12]})")  # noqa: T201
    git = f", commit {c.git['commit'][:12]}{' with changes' if c.git.get('changed') == 'yes' else ''}" if c.git else ""
    print(f"  software     labctl {c.software.get('labctl', '?')}{git}")  # noqa: T201
    return 0


def diff(folder: Path | None, bench: str | None, before: str, after: str | None, as_json: bool) -> int:
    """What changed."""
    store, _ = _opened(folder, bench)
    first = store.get(store.find(before))
    second = store.get(store.find(after)) if after is not None else _instead_of(store, first)
    if first.kind != second.kind:
        raise ConfigurationError(
            f"{first.title} and {second.title} are of different kinds; compare calibrations of one kind"
        )
    found = compare(first, second)
    if as_json:
        told = {
            "before": first.id,
            "after": second.id,
            "differences": [_difference(d) for d in found],
            "noteworthy": [d.name for d in found if d.noteworthy],
        }
        print(json.dumps(plain(told)))  # noqa: T201
        return 0
    print(f"{first.title}\n{second.title}")  # noqa: T201
    for role in first.devices.keys() & second.devices.keys():
        if first.devices[role] != second.devices[role]:
            print(f"! device {role}: was {_who(first, role)}, is {_who(second, role)}")  # noqa: T201
    for d in found:
        print(f"{'!' if d.noteworthy else ' '} {d.name}: {_change(d)}")  # noqa: T201
    return 0


def use(
    folder: Path | None,
    bench: str | None,
    calibration_id: str | None,
    none: bool,
    role: str | None,
    kind: str | None,
    note: str,
    as_json: bool,
) -> int:
    """A decision."""
    store, config = _opened(folder, bench)
    if none == (calibration_id is not None):
        raise ConfigurationError("labctl calibrations use: give the ID of a calibration, or --none, and not both")
    if none:
        if config is None or role is None or kind is None:
            raise ConfigurationError("labctl calibrations use --none: of what? give --bench, --device and --kind")
        _must_be_role(config, role)
        made = store.withdraw(config.name, role, kind, note=note)
    else:
        assert calibration_id is not None
        if kind is not None:
            raise ConfigurationError(f"--kind {kind}: a calibration is of its own kind; leave --kind out")
        found = store.find(calibration_id)
        if config is not None:
            _must_be_role(config, role or store.get(found).role)
        made = store.use(found, bench=config.name if config else None, role=role, note=note)
    if as_json:
        print(json.dumps(_use(made)))  # noqa: T201
    else:
        print(_sentence(made))  # noqa: T201
    return 0


def show_log(folder: Path | None, bench: str | None, as_json: bool) -> int:
    """All decisions, and all checks."""
    store, config = _opened(folder, bench)
    name = config.name if config else None
    entries: list[Use | Verdict] = [*store.uses(name), *store.verdicts(name)]
    entries.sort(key=lambda entry: entry.utc_ns)
    if as_json:
        print(json.dumps(plain([_use(e) if isinstance(e, Use) else _judged(e) for e in entries])))  # noqa: T201
    for entry in entries if not as_json else ():
        print(_sentence(entry) if isinstance(entry, Use) else _found(entry))  # noqa: T201
    if not entries and not as_json:
        print(f"nothing was put in force or checked in {store.path}")  # noqa: T201
    return 0


def export(folder: Path | None, bench: str | None, path: Path, ids: list[str], everything: bool, as_json: bool) -> int:
    """Into one file."""
    store, config = _opened(folder, bench)
    if everything == bool(ids):
        raise ConfigurationError(
            "labctl calibrations export FILE: give the IDs of calibrations, or --all, and not both"
        )
    headers = store.list(bench=config.name if config else None) if everything else ()
    wanted = [r.id for r in headers] if everything else [store.find(text) for text in ids]
    written = archive.export(store, wanted, path)
    _say({"file": str(path), "ids": list(written)}, f"{len(written)} calibrations in {path}", as_json)
    return 0


def import_(folder: Path | None, bench: str | None, path: Path, as_json: bool) -> int:
    """Out of one file."""
    store, _ = _opened(folder, bench)
    kept = archive.import_(store, path)
    _say(
        {"store": str(store.path), "ids": list(kept)},
        f"{len(kept)} calibrations of {path} are in {store.path}; `labctl calibrations use ID` puts one in force",
        as_json,
    )
    return 0


# --- helpers ------------------------------------------------------------------------------------------------------


def _opened(folder: Path | None, bench: str | None) -> tuple[Store, BenchConfig | None]:
    config = load_bench(bench) if bench is not None else None
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"--store {folder}: no such folder; give one that holds calibrations")
    return Store(folder or (config.calibrations_folder if config else store_folder())), config


def _must_be_role(config: BenchConfig, role: str) -> None:
    if role not in config.devices:
        raise ConfigurationError(
            f"bench {config.name} has no device {role!r}{suggestion(role, config.devices)}; it has "
            f"{', '.join(config.devices)}: name one with --device"
        )


def _in_force(store: Store, benches: set[str]) -> tuple[dict[str, list[str]], dict[str, list[Verdict]]]:
    """Where each is in force, ``BENCH: ROLE``, by id, and the last verdict on it there."""
    found: dict[str, list[str]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for bench in sorted(benches):
        for f in store.all_in_force(bench):
            found.setdefault(f.use.id, []).append(f"{bench}: {f.use.role}")
            if f.verdict is not None:
                verdicts.setdefault(f.use.id, []).append(f.verdict)
    return found, verdicts


def _verdicts(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    return [
        {"bench": v.bench, "role": v.role, "at": v.at.isoformat(), "holds": v.holds, "why": v.why} for v in verdicts
    ]


def _instead_of(store: Store, c: Calibration) -> Calibration:
    found = store.in_force(c.bench, c.role, c.kind)
    if found is None or found.id == c.id:
        raise ConfigurationError(
            f"{c.title} {'is itself in force' if found else 'has none in force in its place'}; give a second id"
        )
    return found


def _told(header: Header) -> dict[str, Any]:
    return {"id": header.id, **header_of(header)}


def _use(made: Use) -> dict[str, Any]:
    return {
        "bench": made.bench, "role": made.role, "kind": made.kind, "id": made.id or None, "who": made.who,
        "at": made.at.isoformat(), "note": made.note,
    }  # fmt: skip


def _sentence(made: Use) -> str:
    what = made.id[:12] if made.id else "none"
    note = f" ({made.note})" if made.note else ""
    return f"{_when(made.at)}  {made.bench}  {made.role}.{made.kind}: {what} from now on, says {made.who}{note}"


def _judged(verdict: Verdict) -> dict[str, Any]:
    return {
        "bench": verdict.bench, "role": verdict.role, "kind": verdict.kind, "id": verdict.id, "who": verdict.who,
        "at": verdict.at.isoformat(), "holds": verdict.holds, "why": verdict.why, "run": verdict.run,
    }  # fmt: skip


def _found(verdict: Verdict) -> str:
    told = "holds" if verdict.holds else f"no longer holds ({verdict.why})"
    what = f"{verdict.bench}  {verdict.role}.{verdict.kind}: {verdict.id[:12]}"
    return f"{_when(verdict.at)}  {what} {told}, checked by {verdict.who}"


def _difference(d: Difference) -> dict[str, Any]:
    return {name: getattr(d, name) for name in Difference.__dataclass_fields__} | {"noteworthy": d.noteworthy}


def _change(d: Difference) -> str:
    if d.remark:
        return d.remark
    unit = "" if d.unit == "1" else f" {d.unit}"
    text = f"{d.before:.6g} -> {d.after:.6g}{unit}"
    if math.isnan(d.beyond):
        return f"{text}, {_sigmas(d.sigmas)}"
    return (
        f"mean {text}; largest {d.largest:.3g}{unit}, {_sigmas(d.sigmas)}, rms {_sigmas(d.rms_sigmas)}; "
        f"{100 * d.beyond:.3g} % beyond 3"
    )


def _sigmas(sigmas: float) -> str:
    return "changed, uncertainty not known" if math.isinf(sigmas) else f"{sigmas:.2g} uncertainties"


def _value(told: dict[str, Any]) -> str:
    unit = "" if told["unit"] == "1" else f" {told['unit']}"
    error = told.get("uncertainty", told.get("mean_uncertainty"))
    tail = ("" if error is None else f" ± {error:.2g}") + unit
    if "value" in told:
        return f"{told['value']:.6g}{tail}"
    mean = "" if told["mean"] is None else f", mean {told['mean']:.6g}{tail}"
    return f"{' x '.join(map(str, told['shape']))} numbers{mean}"


def _who(c: Calibration, role: str) -> str:
    who = c.devices[role]
    return f"{who.model} (serial {who.serial}, firmware {who.firmware})"


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _end(header: Header) -> str:
    if header.valid_until is None:
        return "valid for good"
    over = header.valid_until < datetime.now(UTC)
    return f"{'EXPIRED' if over else 'valid until'} {_when(header.valid_until)}"


def _say(told: dict[str, Any], sentence: str, as_json: bool) -> None:
    print(json.dumps(told) if as_json else sentence)  # noqa: T201
