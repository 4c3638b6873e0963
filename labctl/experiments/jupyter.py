"""Progress in a notebook's output: kept with the notebook, and needing no widgets."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from labctl.experiments.console import Console

_SHOW_EVERY_S = 0.1


def console_here(quiet: bool = False) -> Console:
    """What fits where the program runs: a notebook's output, else the error stream of a terminal."""
    return JupyterConsole() if not quiet and _in_notebook() else Console(quiet)


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class JupyterConsole(Console):
    """Check marks and a bar below the cell. The bar goes when the loop has ended, as in a terminal."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self._bar: _Bar | None = None

    def done(self, text: str) -> None:
        """A finished piece of work and the time since the one before."""
        now = time.monotonic()
        _show(f"<span style='color:green'>✓</span> {escape(text)} <small>{now - self._mark:.1f} s</small>")
        self._mark = now

    def say(self, text: str) -> None:
        """A line of text."""
        _show(escape(text))

    def note(self, text: str) -> None:
        """A few words beside the bar."""
        if self._bar is not None:
            self._bar.note = text

    @contextlib.contextmanager
    def progress(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
        """A bar of ``total`` steps, ``done`` of them before; call what it yields after each."""
        bar = self._bar = _Bar(label, total, done)
        try:
            yield bar.advance
        finally:
            self._bar = None
            bar.remove()


class _Bar:
    def __init__(self, label: str, total: int, done: int) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
        self.note = ""
        self._begun_s = time.monotonic()
        self._shown_s = self._begun_s
        self._handle = _show(self._html())

    def advance(self) -> None:
        """One step more."""
        self._done += 1
        now = time.monotonic()
        if now - self._shown_s >= _SHOW_EVERY_S:
            self._shown_s = now
            self._update(self._html())

    def remove(self) -> None:
        """What the loop did is told by who runs it."""
        self._update("")

    def _html(self) -> str:
        made, taken_s = self._done - self._first, time.monotonic() - self._begun_s
        left = f", {taken_s / made * (self._total - self._done):.0f} s left" if made else ""
        return (
            f"{escape(self._label)} {self._done}/{self._total} "
            f"<progress value='{self._done}' max='{max(self._total, 1)}'></progress> {escape(self.note)}{left}"
        )

    def _update(self, html: str) -> None:
        from IPython.display import HTML

        self._handle.update(HTML(html))  # type: ignore[no-untyped-call]


def _show(html: str) -> Any:
    from IPython.display import HTML, display

    return display(HTML(f"<div>{html}</div>"), display_id=True)  # type: ignore[no-untyped-call]
