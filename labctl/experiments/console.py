"""What a person sees while an experiment runs: check marks and a progress bar, on the error stream."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Console:
    """Messages and progress. Results go to standard output and never pass here.

    A message is a line, however long, and is shown as it is: square brackets are no mark-up.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._mark = time.monotonic()
        if not quiet:
            from rich.console import Console as RichConsole

            self._console = RichConsole(stderr=True, highlight=False)

    def done(self, text: str) -> None:
        """A finished piece of work and the time since the one before."""
        now = time.monotonic()
        if not self._quiet:
            from rich.markup import escape

            self._console.print(
                f"[green] ✓[/green] {escape(text)}", f"[dim]{now - self._mark:6.1f} s[/dim]", soft_wrap=True
            )
        self._mark = now

    def say(self, text: str) -> None:
        """A line of text."""
        if not self._quiet:
            self._console.print("   " + text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A few words beside the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, note=text)

    @contextlib.contextmanager
    def progress(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
        """A bar of ``total`` steps, ``done`` of them before; call what it yields after each."""
        if self._quiet:
            yield lambda: None
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=_is_terminal(sys.stdout),  # results that go elsewhere are no part of the picture
        ) as progress:
            task = progress.add_task(label, total=total, completed=done, note="")
            self._progress, self._task = progress, task
            try:
                yield lambda: progress.advance(task)
            finally:
                self._progress = self._task = None


def _is_terminal(stream: TextIO | None) -> bool:
    """None is what programs without a console have."""
    return stream is not None and stream.isatty()
