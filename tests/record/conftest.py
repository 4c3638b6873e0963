"""A bench of made-up devices, and the same as its record has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fakes
import pytest
from fakes import Lab, laboratory
from recording_fixtures import Recorded, Replays

from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig
from labctl.record.device import Replayed
from labctl.record.session import MOST_BYTES, recording


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the record goes."""
    return tmp_path / "lamps.record"


@pytest.fixture
def recorded(file: Path) -> Recorded:
    """The bench and a client of it, whose traffic is recorded."""

    @contextmanager
    def record(
        config: BenchConfig | None = None, most_bytes: int = MOST_BYTES, ipc: bool = True
    ) -> Iterator[tuple[Lab, Bench]]:
        with laboratory(config or fakes.bench_config(), ipc=ipc) as lab:
            bench = lab.bench()
            with recording(bench, file, most_bytes):
                yield lab, bench

    return record


@pytest.fixture
def replayed(file: Path) -> Replays:
    """The bench as its record has it."""

    @contextmanager
    def replay(servers: dict[str, tuple[str, ...]] | None = None, run: str = "", ipc: bool = True) -> Iterator[Lab]:
        config = fakes.bench_config(servers=servers)
        options = Replayed.Options(file=file.name, run=run)
        devices = {
            name: dataclasses.replace(device, backend="replay", factory=Replayed, options=options)
            for name, device in config.devices.items()
        }
        with laboratory(
            dataclasses.replace(config, devices=devices, path=file.with_name("lamps.toml")), ipc=ipc
        ) as lab:
            yield lab

    return replay
