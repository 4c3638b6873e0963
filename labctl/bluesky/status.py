"""What a RunEngine waits for: a call that is being made by another thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Any


class Done:
    """Bluesky's ``Status`` of a call under way."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def __repr__(self) -> str:
        # All that bluesky's FailedStatus has to say is this.
        if self._future.cancelled() or not self._future.done():
            return "<cancelled>" if self._future.done() else "<under way>"
        error = self._future.exception()
        return "<done>" if error is None else f"<{type(error).__name__}: {error}>"

    def add_callback(self, callback: Callable[[Done], None]) -> None:
        """``callback(self)`` once it is done; at once if it is."""
        self._future.add_done_callback(lambda _: callback(self))

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """What it failed with; None if it did not, or is not done within ``timeout`` s."""
        try:
            return self._future.exception(timeout)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, outside of plans. Raises what the call failed with, TimeoutError."""
        self._future.result(timeout)

    @property
    def done(self) -> bool:
        """Whether it came to an end."""
        return self._future.done()

    @property
    def success(self) -> bool:
        """Whether that was a good one."""
        return self._future.done() and self._future.exception() is None
