"""A control loop in a process of its own, which a trial may kill, stop or keep busy.

``python -m labctl.ledger.operator BENCH [AT]`` obeys lines on its standard input and answers each with a line of JSON:

on DEVICE … : takes control, turns emission of the lasers on and keeps the lease, until the next line
busy SECONDS: computes for so long, without a call to the bench
call DEVICE OPERATION: makes a call, which may take long
off         : gives control back
Any error ends control and is answered as ``{"error": TYPE, "message": TEXT}``; the process lives on.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
import time
from typing import Any

from drivers.errors import LabError
from labctl.bench.client import Bench, open_bench

_RENEW_EVERY_S = 0.01


def main(bench_file: str, at: str | None) -> int:
    """Obey until the standard input ends."""
    orders: queue.Queue[str] = queue.Queue()
    with open_bench(bench_file, at=at) as bench:
        _say({"ready": True})
        threading.Thread(target=_listen, args=(orders,), daemon=True).start()
        while order := orders.get():
            try:
                _obey(bench, order.split(), orders)
            except LabError as error:
                _say({"error": type(error).__name__, "message": str(error)})
    return 0


def _listen(orders: queue.Queue[str]) -> None:
    for line in sys.stdin:
        orders.put(line.strip() or "nothing")
    orders.put("")


def _obey(bench: Bench, words: list[str], orders: queue.Queue[str]) -> None:
    if words[0] != "on":
        return _say({"done": words[0]})
    with bench.control("operator of the ledger"):
        for laser in words[1:]:
            bench[laser].emission = True
        _say({"on": words[1:]})
        while True:
            with contextlib.suppress(queue.Empty):
                match orders.get_nowait().split():
                    case ["busy", seconds]:
                        _say({"busy": float(seconds)})
                        until = time.monotonic() + float(seconds)
                        while time.monotonic() < until:
                            pass
                    case ["call", device, operation]:
                        getattr(bench[device], operation)()
                        _say({"called": operation})
                    case _:
                        break
            bench.renew()
            time.sleep(_RENEW_EVERY_S)
    _say({"off": True})
    return None


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
