"""The bench file: what stands on the table, read from TOML into a checked `BenchConfig`."""

from __future__ import annotations

from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bench.load import load_bench, packaged_benches
from labctl.bench.overrides import parse_assignments
from labctl.bench.problems import BenchFileError, Problem

__all__ = [
    "BenchConfig",
    "BenchFileError",
    "DeviceConfig",
    "Problem",
    "load_bench",
    "packaged_benches",
    "parse_assignments",
]
