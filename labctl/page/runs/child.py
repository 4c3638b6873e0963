"""The process of a run that was started from the page: `labctl run`, but for whom it tells of its progress.

The task is the first line of standard input (JSON). Progress goes to standard output, a JSON object per line, of one
key: ``begun`` (run file), ``progress`` ([label, done, total]), ``say`` (text), ``done`` (values, as `labctl run` prints
them) or ``failed`` (text). When standard input ends, because somebody stops the run or the page's server has died, the
run ends as by Ctrl-C: light off, control given back, run file closed, a checkpoint to resume from if it has made one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from drivers.errors import LabError
from labctl.experiments.console import Console


class Task(msgspec.Struct, frozen=True):
    """What to run: as the arguments of `labctl run`, and in which role at most (number of a `Role`)."""

    protocol: str
    bench: str
    given: dict[str, Any]
    seed: int
    out: str
    role: int
    at: str | None = None


def say(**what: Any) -> None:
    """A line for the page's server. Where that has died, it is nobody's, and the run is ending anyway."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")
        sys.stdout.flush()


class Told(Console):
    """What a person would see in a terminal, as lines for the page."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def done(self, text: str) -> None:
        """A finished piece of work."""
        say(say=f"✓ {text}")

    def say(self, text: str) -> None:
        """A line of text."""
        say(say=text)

    @contextlib.contextmanager
    def progress(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
        """A bar of ``total`` steps."""
        count = done
        say(progress=[label, count, total])

        def advance() -> None:
            nonlocal count
            count += 1
            say(progress=[label, count, total])

        yield advance


def run(task: Task) -> None:
    """Run it."""
    from labctl.bus.client_side import cap_roles
    from labctl.experiments.execute import execute
    from labctl.plain import plain

    cap_roles(task.role)  # whoever started it may do no more by a protocol than by hand
    told = Told()
    outcome = execute(
        "labctl.protocols", task.protocol, task.bench, task.given, task.seed, Path(task.out), told, task.at,
        lambda path: say(begun=str(path)),
    )  # fmt: skip
    say(done=plain(outcome.values))


def main() -> int:
    """Entry point."""
    from labctl.guard import guarded

    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)

    def until_nobody_listens() -> None:
        # Not sys.stdin: a thread that waits in its lock would keep the interpreter from ending.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    def command() -> None:
        threading.Thread(target=until_nobody_listens, name="labctl-page-asked", daemon=True).start()
        try:
            run(task)
        except LabError as error:
            say(failed=str(error))
            raise

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
