"""Python imports this when it starts, if this folder is on its path: a disk that takes its time.

The file ``LABCTL_LEDGER_DISK`` holds how many seconds the system needs to write a file, read anew each time. When it
first kept somebody waiting (monotonic ns) is then in a file of that name with ``.began``.
"""

import contextlib
import os
import time

_file = os.environ.get("LABCTL_LEDGER_DISK", "")
_fsync = os.fsync


def _slow(handle):  # type: ignore[no-untyped-def]
    try:
        with open(_file, encoding="ascii") as file:
            delay_s = float(file.read() or 0)
        with contextlib.suppress(FileExistsError), open(f"{_file}.began", "x", encoding="ascii") as began:
            began.write(str(time.monotonic_ns()))
        time.sleep(delay_s)
    except (OSError, ValueError):
        pass
    _fsync(handle)


if _file:
    os.fsync = _slow
