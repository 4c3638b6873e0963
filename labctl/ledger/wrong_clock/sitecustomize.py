"""Python imports this when it starts, if this folder is on its path: the system's clock as if somebody had set it.

The file ``LABCTL_LEDGER_CLOCK`` holds by how many seconds it is wrong, read anew whenever the time is asked for. The
monotonic clock is what it is, as with a clock that is set.
"""

import os
import time

_file = os.environ.get("LABCTL_LEDGER_CLOCK", "")
_time, _time_ns = time.time, time.time_ns


def _wrong_s() -> float:
    try:
        with open(_file, encoding="ascii") as file:
            return float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0


if _file:
    time.time = lambda: _time() + _wrong_s()
    time.time_ns = lambda: _time_ns() + round(_wrong_s() * 1e9)
