"""The flag in the world's shared state by which `safe` stops a device, whatever the world is busy with."""

from __future__ import annotations

from typing import Any


class StopFlag:
    """One device's. Before the device is first put on the table there is nothing to stop."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._number: int | None = None

    def attach(self, device: str, what: str) -> None:
        """Put the device on the table, as the world's ``attach`` does, and learn its flag."""
        self._number = self._world.attach(device, what)

    def set(self) -> None:
        """Stop: an armed detector answers no trigger any more, a slide show ends before its next pattern."""
        self._write(1)

    def clear(self) -> None:
        """Go on. To be called before what may be stopped is asked for, so that a later `set` is not lost."""
        self._write(0)

    def is_set(self) -> bool:
        """Whether it was stopped since."""
        return self._number is not None and bool(self._world.state["stop"][0, self._number])

    def _write(self, value: int) -> None:
        if self._number is not None:
            self._world.state["stop"][0, self._number] = value
