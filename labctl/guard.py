"""The outermost frame: errors become one readable message and an exit status, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from labctl.shadow import shadowed_room

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def status_of(error: Exception) -> int:
    """Exit status: 2 for bad input, 1 for a failure on the bench."""
    from drivers.errors import ConfigurationError

    return BAD_INPUT if isinstance(error, ConfigurationError) else FAILED


def guarded(command: Callable[[], object]) -> int:
    """Run a command. SIGTERM and a closed terminal end it like Ctrl-C, so devices are made safe."""

    def terminate(number: int, frame: FrameType | None) -> None:
        interruption.note()
        raise KeyboardInterrupt

    # Before anything imports a room: a foreign package of the same name would fail in a way nobody understands.
    shadow = shadowed_room()
    if shadow is not None:
        print(f"labctl: {shadow}", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    from drivers.errors import LabError, StorageError
    from labctl.experiments import interruption
    from labctl.experiments.storing import spoilt
    from labctl.private import others_never_write

    others_never_write()
    interruption.forget()
    signal.signal(signal.SIGTERM, terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup wants it ignored
        signal.signal(signal.SIGHUP, terminate)
    try:
        try:
            command()
        except SystemExit as stop:
            # typer turns these two into exits of its own.
            if isinstance(stop.__context__, BrokenPipeError):
                raise stop.__context__ from None
            if stop.code == INTERRUPTED:
                raise KeyboardInterrupt from None
            sys.stdout.flush()
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("labctl: interrupted; every device that it controlled was made safe", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:
        # `labctl … | head`: the reader has seen enough. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LabError as error:
        told = str(error)  # which begins with the command where it is about how that was called
        print(told if told.startswith("labctl ") else f"labctl: {told}", file=sys.stderr)  # noqa: T201
        if error.remote_traceback and os.environ.get("LABCTL_DEBUG"):
            print(error.remote_traceback, file=sys.stderr)  # noqa: T201
        if isinstance(error, StorageError) and spoilt():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(FAILED)  # in order HDF5 would crash over what it cannot write
        return status_of(error)
    return 0
