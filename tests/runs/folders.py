"""Folders of small runs, and what else lies about in folders of runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from labctl.experiments.recorder import Recorder
from labctl.runfile.catalogue import NAME, Catalogue
from labctl.runfile.summary import RunSummary


def run(folder: Path, name: str = "t.walk", seed: int = 0, steps: int = 2, **setup: Any) -> Path:
    """A complete run."""
    with Recorder(name, folder, seed) as record:
        record.setup(bench="small", group="labctl.protocols", given=json.dumps({"size": 3}), **setup)
        for step in record.steps(steps, "there"):
            step.save(position=np.arange(50.0))
        record.finish({"mean": 0.5, "end": np.arange(3)})
    return record.path


def runs(folder: Path, count: int) -> list[Path]:
    return [run(folder, seed=seed) for seed in range(count)]


def killed(folder: Path) -> Path:
    """A run whose process died in its third step: the lock is left, and nobody has it."""
    code = (
        "import os, sys; from pathlib import Path; import numpy as np\n"
        "from labctl.experiments.recorder import Recorder\n"
        "record = Recorder('t.killed', Path(sys.argv[1]), 0)\n"
        "for step in record.steps(9, 'there'):\n"
        "    step.save(position=np.full(20_000, 1.0))\n"
        "    if step.index == 2:\n"
        "        print(record.path, flush=True)\n"
        "        os._exit(1)\n"
    )
    return Path(python(code, folder).strip())


def python(code: str, *arguments: object, **options: Any) -> str:
    """What another process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, timeout=60, **options
    )
    return done.stdout


def by_reading(folder: Path) -> list[RunSummary]:
    """What a folder holds, by its files alone: a catalogue that has to begin anew, elsewhere."""
    kept = {path: path.read_bytes() for path in folder.glob(f"{NAME}*")}
    for path in kept:
        path.unlink()
    found = Catalogue(folder).runs()
    for path in folder.glob(f"{NAME}*"):
        path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    return found
