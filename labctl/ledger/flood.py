"""An observer that asks a bench as fast as it can: ``python -m labctl.ledger.flood BENCH AT HOST``, until it is
ended.

Several connections ask one request after another; on one more, to each server, there is no end of requests for long
answers, and none is read; that one goes to HOST, past whatever stands for a cable, which it would block.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import Any

import zmq

from drivers.errors import BusError, LabError
from labctl.bench.client import open_bench
from labctl.bus import security
from labctl.bus.connection import Connection
from labctl.bus.transport import Address
from labctl.ledger.child import dies_with_its_parent
from labctl.server.directory import find_remote

_AT_ONCE = 4
_UNREAD_BYTES = 30_000_000
"""More than the buffers of the sender hold."""
_PATIENCE_S = 10.0


def main(bench_file: str, at: str, host: str) -> int:
    """Ask."""
    dies_with_its_parent()
    with open_bench(bench_file, at=at):
        pass  # what would fail, fails here
    threads = [threading.Thread(target=_ask, args=(bench_file, at), daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    kept = [_never_listen(connection) for connection in _to_each_server(at, host)]
    print(json.dumps({"flooding": _AT_ONCE, "unread": kept}), flush=True)  # noqa: T201
    sys.stdin.read()
    return 0


def _ask(bench_file: str, at: str) -> None:
    while True:
        with contextlib.suppress(LabError), open_bench(bench_file, at=at) as bench:
            while True:
                pending = [device.submit_get("emission") for device in (bench.pump, bench.source) for _ in range(16)]
                for asked in pending:
                    asked.result()


def _to_each_server(at: str, host: str) -> list[Connection]:
    """By the lane where leases are renewed, with as little room for answers as there can be."""
    context: zmq.Context[Any] = zmq.Context()
    context.setsockopt(zmq.RCVBUF, 4096)
    context.setsockopt(zmq.RCVHWM, 1)
    keys = security.own_keys()
    record = find_remote(context, at, keys)
    addresses = [server.address("control", remote=True) for server in record.servers]
    direct = [Address(f"tcp://{host}:{a.endpoint.rpartition(':')[2]}", a.server_key) for a in addresses]
    return [Connection(context, address, _PATIENCE_S, keys=keys) for address in direct]


def _never_listen(connection: Connection) -> int:
    """How many answers wait to be read."""
    size = len(json.dumps(connection.request("", "describe"), default=str))
    connection.set_send_patience(0.2)
    number, until = 0, time.monotonic() + _PATIENCE_S
    while number * size < _UNREAD_BYTES and time.monotonic() < until:
        try:
            connection._send("", "describe", "", None, None)
            number += 1
        except BusError:  # the server does not take more now
            time.sleep(0.01)
    return number


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
