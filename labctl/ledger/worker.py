"""One of the processes that try rows side by side: ``python -m labctl.ledger.worker`` reads which trials it has to do
from its standard input, a line of JSON for each, and says a line of JSON of each, until there is no more."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict

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
            for line in sys.stdin:
                task = json.loads(line)
                row = known[task["fault"]]
                bench = next(bench for bench in row.benches if bench.kind == task["kind"])
                outcome = theatre.trial(row, bench, task["number"], task["seed"], limits=True)
                out.write(json.dumps(asdict(outcome)) + "\n")
                out.flush()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
