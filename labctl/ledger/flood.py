"""An observer that asks a bench as fast as it can: ``python -m labctl.ledger.flood BENCH AT``, until it is ended.

Several connections ask one request after another; on one more there is no end of requests, and no answer is read.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time

from drivers.errors import LabError
from labctl.bench.client import open_bench
from labctl.ledger.child import dies_with_its_parent

_AT_ONCE = 4
_UNREAD = 50_000


def main(bench_file: str, at: str) -> int:
    """Ask."""
    dies_with_its_parent()
    with open_bench(bench_file, at=at):
        pass  # what would fail, fails here
    threads = [threading.Thread(target=_ask, args=(bench_file, at), daemon=True) for _ in range(_AT_ONCE)]
    threads.append(threading.Thread(target=_never_listen, args=(bench_file, at), daemon=True))
    for thread in threads:
        thread.start()
    print(json.dumps({"flooding": _AT_ONCE}), flush=True)  # noqa: T201
    sys.stdin.read()
    return 0


def _ask(bench_file: str, at: str) -> None:
    while True:
        with contextlib.suppress(LabError), open_bench(bench_file, at=at) as bench:
            while True:
                pending = [device.submit_get("emission") for device in (bench.pump, bench.source) for _ in range(16)]
                for asked in pending:
                    asked.result()


def _never_listen(bench_file: str, at: str) -> None:
    while True:
        with contextlib.suppress(LabError), open_bench(bench_file, at=at) as bench:
            pending: list[object] = []
            while len(pending) < _UNREAD:
                pending += [bench.pump.submit_get("emission") for _ in range(16)]
                time.sleep(0.001)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
