"""`labctl init`: a bench file to begin from."""

from __future__ import annotations

import os
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.bench.template import bench_like


def write_bench(file: Path, like: str) -> int:
    """Write the file, unless there is one."""
    if os.path.lexists(file):
        raise ConfigurationError(f"{file} is there and is kept; give another name: labctl init NAME.toml")
    text = bench_like(file, like)
    try:
        with file.open("x", encoding="utf-8") as opened:  # also against one that has appeared meanwhile
            opened.write(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}; give a file in another folder") from None
    print(f"{file} is written, like {like}; next: labctl check {file}, labctl up {file}")  # noqa: T201
    return 0
