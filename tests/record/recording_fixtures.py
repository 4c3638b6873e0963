"""What the fixtures ``recorded`` and ``replayed`` are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from fakes import Lab

from labctl.bench.client import Bench

Recorded = Callable[..., AbstractContextManager[tuple[Lab, Bench]]]
Replays = Callable[..., AbstractContextManager[Lab]]
