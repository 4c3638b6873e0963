"""What the fixture ``labctl`` is, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Done:
    """A finished command."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]
