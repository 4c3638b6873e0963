"""The bench file that serves a record back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.sources import read_sources
from labctl.bench.write import toml
from labctl.record.record import Record

_LEFT_OUT = ("network", "servers", "interlocks")
"""One process answers for all devices; nobody reaches them from elsewhere; what interlocks did is in the record."""


def replay_bench(record: Record, to: Path, run: str = "") -> str:
    """The text of a bench file at ``to``: the recorded one, with every device replayed.

    run: name of the recorded run whose requests are answered; "" for whichever client asked the same first. Raises
    ConfigurationError if the record does not tell of its bench, or has no such run.
    """
    about = record.about
    if "bench_file" not in about:
        raise ConfigurationError(f"{record.path} does not tell of its bench: its beginning is spoilt")
    if run and run not in record.runs:
        raise ConfigurationError(f"{record.path} has no run {run}; it has {', '.join(record.runs) or 'none'}")
    texts = about["bench_file"], about["bench_overlay"]
    data = read_sources(Path(about["bench_path"]), about["bench_overrides"], texts).data
    file = os.path.relpath(record.path.absolute(), to.absolute().parent)
    kept = {name: table for name, table in data.items() if name not in _LEFT_OUT}
    kept["devices"] = {name: _device(table, file, run) for name, table in data["devices"].items()}
    if "calibrations" in kept:  # what is measured on a replayed bench belongs elsewhere
        kept["calibrations"] = {k: v for k, v in kept["calibrations"].items() if k != "folder"}
    heading = (
        f"Bench {about['bench']} as it was recorded in {file}, with {record.made_with()}.\n"
        "Answers only what it was asked then, in the same order."
    )
    return "".join(f"# {line}\n" for line in heading.splitlines()) + "\n" + toml(kept)


def _device(table: Mapping[str, Any], file: str, run: str) -> dict[str, Any]:
    return {**table, "backend": "replay", "file": file, **({"run": run} if run else {})}
