"""`labctl up` for the time that a script needs it: for benches whose instruments are processes of their own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from drivers.errors import ERROR_TYPES, DeviceError
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench

_END_PATIENCE_S = 40.0


@contextlib.contextmanager
def served_apart(config: BenchConfig) -> Iterator[None]:
    """A supervisor in a process that does not outlive this one. Raises what it could not start for."""
    child = subprocess.Popen(
        [sys.executable, "-m", "labctl.server.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends the other in order
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        task = [str(config.path), dict(config.overrides), config.text, config.overlay_text]
        child.stdin.write(msgspec.json.encode(task) + b"\n")
        child.stdin.flush()
        told = msgspec.json.decode(child.stdout.readline() or b'["DeviceError", "the supervisor ended"]')
        if told is not True:
            raise ERROR_TYPES.get(told[0], DeviceError)(told[1])
        yield
    finally:
        child.stdin.close()  # it ends when its input does, also when this process is killed
        try:
            child.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def main() -> None:
    """Serve the bench named in the first line of standard input until that ends."""
    import os
    import threading

    from drivers.errors import LabError
    from labctl.server.supervisor import supervised

    # A background job of a shell ignores it, and so would its children: they would not end when it does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    path, overrides, text, overlay = msgspec.json.decode(sys.stdin.buffer.readline())

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with supervised(load_bench(path, overrides, texts=(text, overlay))) as supervisor:
            threading.Thread(target=wait_for_the_end, daemon=True).start()
            sys.stdout.buffer.write(b"true\n")
            sys.stdout.buffer.flush()
            supervisor.watch()
    except KeyboardInterrupt:
        pass
    except LabError as error:
        sys.stdout.buffer.write(msgspec.json.encode([type(error).__name__, str(error)]) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
