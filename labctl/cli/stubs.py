"""`labctl stubs`: types of a bench's devices for editors and mypy."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.bench.load import bench_argument, load_bench
from labctl.bench.overrides import parse_assignments
from labctl.stubs import bench_text, kinds_text


def write_stubs(bench: str | None, assignments: list[str], to: Path | None, kinds: bool) -> int:
    """Write the module; where it lies is told on standard output."""
    if kinds == (bench is not None):
        raise ConfigurationError("labctl stubs: give a BENCH, or --kinds")
    if kinds:
        text, name = kinds_text(), "kinds"
    else:
        config = load_bench(str(bench), parse_assignments(assignments))
        source = bench_argument(config)
        text = bench_text(config, source if source == config.path.stem else str(config.path.absolute()))
        name = re.sub(r"^(?=\d)|\W", "_", config.name) + "_bench"
    path = to or Path(f"{name}.py")
    if path.suffix not in (".py", ".pyi") or not path.stem.isidentifier():
        raise ConfigurationError(f"--to {path}: a module is wanted, such as {name}.py")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}; choose another --to") from None
    print(path)  # noqa: T201
    if not kinds:
        print(f"from {path.stem} import open_bench", file=sys.stderr)  # noqa: T201
    return 0
