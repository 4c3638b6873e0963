"""One of the processes that try rows side by side: ``python -m labctl.ledger.worker`` reads what it has to do, a JSON
list, from its standard input, and says a line of JSON for each."""

from __future__ import annotations

import json
import os
import signal
import sys

from labctl.ledger.child import dies_with_its_parent
from labctl.ledger.run import rows
from labctl.ledger.theatre import Theatre


def main() -> int:
    """Try them."""
    dies_with_its_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it is ignored: it is how this ends
    said = os.dup(1)
    os.dup2(2, 1)  # what rows or their libraries print is none of it
    known = {row.fault: row for row in rows()}
    try:
        with Theatre() as theatre, os.fdopen(said, "w", encoding="utf-8") as out:
            for task in json.loads(sys.stdin.read()):
                row = known[task["fault"]]
                bench = next(bench for bench in row.benches if bench.kind == task["kind"])
                tried = theatre.tried(row, bench, task["trials"], task["seed"], limits=True)
                out.write(json.dumps({"trials": tried.trials, "worst_s": tried.worst_s, "wrong": tried.wrong}) + "\n")
                out.flush()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
