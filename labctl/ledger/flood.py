"""An observer that asks a bench as fast as it can: ``python -m labctl.ledger.flood BENCH AT``, until it is ended."""

from __future__ import annotations

import contextlib
import json
import sys
import threading

from drivers.errors import LabError
from labctl.bench.client import open_bench
from labctl.ledger.child import dies_with_its_parent

_AT_ONCE = 4


def main(bench_file: str, at: str) -> int:
    """Several connections, each asking for settings one request after another."""
    dies_with_its_parent()
    with open_bench(bench_file, at=at):
        pass  # what would fail, fails here
    threads = [threading.Thread(target=_ask, args=(bench_file, at), daemon=True) for _ in range(_AT_ONCE)]
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
