"""`labctl check`, `up`, `status`, `stop` and `logs`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from drivers.errors import ConfigurationError, LabError
from labctl.server import runtime

if TYPE_CHECKING:
    from labctl.bench.config import BenchConfig

_LOG_POLL_S = 0.2


def _bench(file: str, assignments: list[str]) -> BenchConfig:
    # Not with this module: who stops a bench, or looks at it, does not wait for what reads one to be imported.
    from labctl.bench.load import load_bench
    from labctl.bench.overrides import parse_assignments

    return load_bench(file, parse_assignments(assignments))


def check_bench(file: str, assignments: list[str]) -> int:
    """Print what the file says if it is right; its errors are printed by the guard."""
    from labctl.bench.interlocks import notes
    from labctl.server.host import rehearse

    config = _bench(file, assignments)
    rehearse(config)
    for note in notes(config):
        print(f"note: {note}")  # noqa: T201
    print(f"{config.path}: bench {config.name}, {len(config.devices)} devices, {config.clock} time: no problems")  # noqa: T201
    return 0


def serve_bench(file: str, assignments: list[str]) -> int:
    """Serve until interrupted."""
    from labctl.server.supervisor import supervised

    config = _bench(file, assignments)
    with supervised(config) as supervisor:
        far = f", for other machines at {supervisor.directory_advertised}" if config.network else ""
        print(  # noqa: T201
            f"bench {config.name} is up (pid {supervisor.entry.pid}): {', '.join(config.devices)}{far}", flush=True
        )
        supervisor.watch()
    return 0


def emulate_bench(file: str, assignments: list[str], as_json: bool) -> int:
    """Run the emulated instruments of a bench until interrupted, and say what leads to them."""
    from labctl.server.supervisor import supervised

    config = _bench(file, assignments)
    if not config.emulated:
        raise ConfigurationError(
            f'{config.path}: no device has backend = "emulated", so there is nothing to emulate; name a bench that has '
            "some, such as prbm-emulated"
        )
    with supervised(config, instruments_only=True) as supervisor:
        if as_json:
            print(json.dumps(supervisor.connections), flush=True)  # noqa: T201
        for device, options in supervisor.connections.items() if not as_json else ():
            told = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
            print(f"{device} ({config.devices[device].driver}): {told}", flush=True)  # noqa: T201
        supervisor.watch()
    return 0


# --- status -------------------------------------------------------------------------------------------------------


def show_status(as_json: bool, at: str | None = None) -> int:
    """One block per bench that is up."""
    found = _states(at or os.environ.get("LABCTL_AT") or None)
    if as_json:
        print(json.dumps(found))  # noqa: T201
        return 0
    if not found:
        print("no bench is up; start one with `labctl up BENCH`")  # noqa: T201
    for state in found:
        _print_state(state)
    return 0


def _states(at: str | None) -> list[dict[str, Any]]:
    import zmq

    from labctl.bus import security
    from labctl.bus.connection import Connection
    from labctl.bus.transport import Address
    from labctl.server.directory import ask, trusted_address

    context: zmq.Context[Any] = zmq.Context()
    try:
        if at is not None:
            return [_with_interlocks(ask(context, trusted_address(at), "status", security.own_keys()))]
        found: list[dict[str, Any]] = []
        for entry in runtime.all_hosts():
            known = {"bench": entry.bench, "pid": entry.pid, "kind": entry.kind, "bench_file": entry.bench_file}
            try:
                if entry.kind == "up":
                    state = ask(context, Address(entry.directory), "status")
                else:
                    connection = Connection(context, entry.emergency["script"], patience_s=0.2)
                    try:
                        state = {"servers": connection.request("", "status", timeout_s=2.0)}
                    finally:
                        connection.close()
            except LabError as error:
                state = {"error": str(error)}
            found.append(_with_interlocks({**known, "ready": entry.ready, "log_file": entry.log_file, **state}))
        return found
    finally:
        context.destroy(linger=0)


def _with_interlocks(state: dict[str, Any]) -> dict[str, Any]:
    """With every interlock of the bench once, whatever the servers are that tell of it."""
    from labctl.safety.desk import merged

    told = [one for server in state.get("servers", {}).values() for one in server.get("interlocks", ())]
    return {**state, "interlocks": merged(told)}


def _print_state(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    within = " within a script" if state.get("kind") == "script" else ""
    title = f"{state['bench']}{within} (pid {state['pid']})"
    if "error" in state:
        console.print(f"{title}: {state['error']}")
        return
    servers: dict[str, Any] = state["servers"]
    leases = {(lease["holder"], lease["run"]): lease for s in servers.values() for lease in s["leases"]}
    console.print(title + (f", up {state['up_s']:.0f} s" if "up_s" in state else ""))
    for (holder, run), lease in leases.items():
        shares = [o for s in servers.values() for o in s["leases"] if (o["holder"], o["run"]) == (holder, run)]
        held = ", ".join(sorted({device for share in shares for device in share["devices"]}))
        of_run = f", run {run}" if run else ""
        console.print(f"  controlled by {holder}{of_run}: {held}; lease ends in {lease['remaining_s']:.1f} s")
    if not leases:
        console.print("  nobody in control")
    devices = Table("device", "kind", "backend", "server", "emission", "lease")
    for name, server in servers.items():
        for device, told in server["devices"].items():
            emission = {True: "ON", False: "off", None: ""}[told["emission"]]
            holder = next((lease["holder"] for lease in server["leases"] if device in lease["devices"]), "")
            devices.add_row(device, told["kind"], told["backend"], name, emission, holder)
    console.print(devices)
    if state["interlocks"]:
        console.print(_interlock_table(state["interlocks"]))
    processes = Table("process", "pid", "heartbeat", "deaths", "lapsed leases", "emergency stops", "handled", "refused")
    for name, child in state.get("processes", {}).items():
        told = servers.get(name, {})
        counts = told.get("counts", {})
        refused = sum(counts.get(what, 0) for what in ("malformed", "oversized", "expired", "repeated"))
        heard = told.get("heard_s")
        beat = "" if heard is None else f"{heard:.1f} s ago" if heard < 2 else f"SILENT for {heard:.0f} s"
        beat = beat or (f"{child['heard_s']:.1f} s ago" if child.get("heard_s") is not None else "")
        processes.add_row(
            name, str(child["pid"] or "being started"), beat, str(child["deaths"]), str(told.get("lapsed", "")),
            str(told.get("stopped", "")), str(counts.get("handled", "")), str(refused + told.get("refused_keys", 0)),
        )  # fmt: skip
    if processes.rows:
        console.print(processes)


def _interlock_table(told: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table("interlock", "rule", "guards", "state", "why")
    for one in told:
        why = one["reason"]
        if "armed" in one:
            armed = [f"{d} by {a['by']}" if a["armed"] else f"{d}: {a['why']}" for d, a in one["armed"].items()
                     if a["armed"] or a["why"]]  # fmt: skip
            why = why or ", ".join(armed)
        if "dose_j" in one:
            why = why or f"{one['dose_j']:.4g} J of {one['limit_j']:.4g} J"
        state = "TRIPPED" if one["tripped"] else str(one["state"])
        table.add_row(one["name"], one["rule"], ", ".join(one["guards"]), state, escape(why))
    return table


# --- emergency stop -----------------------------------------------------------------------------------------------


def stop_benches(bench: str | None, at: str | None, reason: str, as_json: bool) -> int:
    """Emergency stop of every bench of this user, or of one."""
    from labctl.server.emergency import stop_benches as stop_all

    results = stop_all(bench, at, reason)
    if as_json:
        print(json.dumps(results))  # noqa: T201
    failed = False
    for name, servers in results.items():
        for server, result in servers.items():
            failed |= isinstance(result, str)
            if not as_json:
                told = f"NOT STOPPED: {result}" if isinstance(result, str) else f"safe after {1000 * result:.0f} ms"
                print(f"{name}, {server}: {told}")  # noqa: T201
    return 1 if failed else 0


# --- logs ---------------------------------------------------------------------------------------------------------


def show_logs(bench: str, device: str, run: str, process: str, as_json: bool, follow: bool) -> int:
    """The log of a bench that is up, or was last."""
    from labctl.server import logs

    path = logs.newest_file(bench)
    if path is None:
        there = ", ".join(logs.benches()) or "none"
        raise ConfigurationError(f"no log of a bench {bench!r} in {logs.folder()}; there are logs of {there}")
    seen = 0
    while True:
        for number, line in enumerate(logs.read(path, device, run, process)):
            if number < seen:
                continue
            seen = number + 1
            print(json.dumps(line, ensure_ascii=False) if as_json else _readable(line))  # noqa: T201
        if not follow:
            return 0
        sys.stdout.flush()
        time.sleep(_LOG_POLL_S)


def _readable(line: dict[str, Any]) -> str:
    about = [f"{key} {line[key]}" for key in ("device", "run") if line.get(key)]
    fields = f" [{', '.join(about)}]" if about else ""
    error = f"\n{line['error']}" if line.get("error") else ""
    return f"{line['utc'][11:]} {line['level']:7} {line['process']}{fields}: {line['message']}{error}"
