"""`labctl check`, `labctl up` and `labctl status`."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any

from drivers.errors import BusError, ConfigurationError
from labctl.bench.load import load_bench
from labctl.bench.overrides import parse_assignments
from labctl.server import runtime


def check_bench(file: str, assignments: list[str]) -> int:
    """Print what the file says if it is right; its errors are printed by the guard."""
    from labctl.server.host import rehearse

    config = load_bench(file, parse_assignments(assignments))
    rehearse(config)
    print(f"{config.path}: bench {config.name}, {len(config.devices)} devices, {config.clock} time: no problems")  # noqa: T201
    return 0


def serve_bench(file: str, assignments: list[str]) -> int:
    """Serve until interrupted."""
    import zmq

    from labctl.server.host import running

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    config = load_bench(file, parse_assignments(assignments))
    other = runtime.find(config.name)
    if other is not None:
        raise ConfigurationError(f"bench {config.name} is up already (pid {other.pid}); stop that one first")
    context: zmq.Context[Any] = zmq.Context()
    try:
        with running(config, context, runtime.base_endpoint(config.name)) as host:
            record = runtime.HostRecord(
                bench=config.name,
                pid=os.getpid(),
                control_endpoint=host.control_endpoint,
                fingerprint=config.fingerprint,
                bench_file=str(config.path.resolve()),
                started_utc_ns=time.time_ns(),
                process_start=runtime.process_start(os.getpid()),
            )
            runtime.announce(record)
            try:
                print(f"bench {config.name} is up (pid {record.pid}): {', '.join(config.devices)}", flush=True)  # noqa: T201
                threading.Event().wait()
            finally:
                runtime.withdraw(record)
    finally:
        context.term()
    return 0


def show_status(as_json: bool) -> int:
    """One block per bench that is up."""
    import zmq

    from labctl.bus.connection import Connection

    context: zmq.Context[Any] = zmq.Context()
    found: list[dict[str, Any]] = []
    try:
        for record in runtime.all_hosts():
            connection = Connection(context, record.control_endpoint, patience_s=0.2)
            try:
                state = connection.request("", "status", timeout_s=2.0)
            except BusError as error:
                state = {"bench": record.bench, "error": str(error)}
            finally:
                connection.close()
            found.append({**state, "pid": record.pid, "bench_file": record.bench_file})
    finally:
        context.term()
    if as_json:
        print(json.dumps(found))  # noqa: T201
        return 0
    if not found:
        print("no bench is up; start one with `labctl up BENCH`")  # noqa: T201
    for state in found:
        _print_state(state)
    return 0


def _print_state(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if "error" in state:
        console.print(f"{state['bench']} (pid {state['pid']}): {state['error']}", highlight=False)
        return
    lease = state["lease"]
    control = (
        f"controlled by {lease['holder']}, lease ends in {lease['remaining_s']:.1f} s" if lease else "nobody in control"
    )
    console.print(
        f"{state['bench']} (pid {state['pid']}), up {state['up_s']:.0f} s: {control}; leases lapsed: {state['lapsed']}",
        highlight=False,
    )
    table = Table("device", "kind", "backend", "server", "emission")
    for name, device in state["devices"].items():
        emission = {True: "ON", False: "off", None: ""}[device["emission"]]
        table.add_row(name, device["kind"], device["backend"], device["server"], emission)
    console.print(table)
