"""A bench in a process of its own, as `labctl up` serves it, whose emulated instruments can be struck meanwhile.

``python -m labctl.ledger.served BENCH [instruments]`` says in a line of JSON where its world is, and what leads to its
emulated instruments; each line of JSON that it is sent strikes an instrument (``{"device": "laser", "fault": "mute"}``)
and is answered by a line. With ``instruments`` nothing else is up.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any

from drivers.errors import LabError
from labctl.bench.load import load_bench
from labctl.server.supervisor import Supervisor, supervised


def main(bench: str, *, instruments_only: bool) -> int:
    """Serve until the standard input ends or it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ended = threading.Event()
    with supervised(load_bench(bench), instruments_only=instruments_only) as supervisor:
        _say({"world": supervisor.world_endpoint, "connections": supervisor.connections})
        threading.Thread(target=_obey, args=(supervisor, ended), daemon=True).start()
        supervisor.watch(ended.is_set)
    return 0


def _obey(supervisor: Supervisor, ended: threading.Event) -> None:
    for line in sys.stdin:
        try:
            supervisor.strike(**json.loads(line))
            _say({"struck": True})
        except (LabError, TypeError, ValueError) as error:
            _say({"struck": False, "error": f"{type(error).__name__}: {error}"})
    ended.set()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], instruments_only=sys.argv[2:] == ["instruments"]))
