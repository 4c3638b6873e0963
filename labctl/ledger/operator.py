"""A control loop in a process of its own, which a trial may kill, stop or keep busy.

``python -m labctl.ledger.operator BENCH [AT]`` obeys lines on its standard input and answers each with a line of JSON:

on DEVICE … : takes control, turns emission of the lasers on and keeps the lease, until the next line
busy SECONDS: computes for so long, without a call to the bench
call DEVICE OPERATION: makes a call, which may take long
loop LASER DEVICE: turns the laser on and uses the device again and again, until that is an error or the next line
power LASER VALUE: sets its power, W or fraction
off         : gives control back
Any error ends control and is answered as ``{"error": TYPE, "message": TEXT, "detected_ns": …}``, the last when it was
raised (monotonic) and control not yet given back; the process lives on, but not longer than who started it.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from drivers.contract import Sequence
from drivers.errors import LabError
from labctl.bench.client import Bench, open_bench
from labctl.bus.proxy import DeviceProxy
from labctl.ledger.child import dies_with_its_parent

_RENEW_EVERY_S = 0.05


def main(bench_file: str, at: str | None) -> int:
    """Obey until the standard input ends."""
    dies_with_its_parent()
    orders: queue.Queue[str] = queue.Queue()
    with open_bench(bench_file, at=at) as bench:
        _say({"ready": True})
        threading.Thread(target=_listen, args=(orders,), daemon=True).start()
        while order := orders.get():
            try:
                _obey(bench, order.split(), orders)
            except LabError as error:
                detected_ns = getattr(error, "detected_ns", time.monotonic_ns())
                _say({"error": type(error).__name__, "message": str(error), "detected_ns": detected_ns})
    return 0


def _listen(orders: queue.Queue[str]) -> None:
    for line in sys.stdin:
        orders.put(line.strip() or "nothing")
    orders.put("")


def _obey(bench: Bench, words: list[str], orders: queue.Queue[str]) -> None:
    if words[0] == "loop":
        return _loop(bench, words[1], words[2], orders)
    if words[0] != "on":
        return _say({"done": words[0]})
    watched = bool(bench.interlocks())
    with bench.control("operator of the ledger"), _noting_when():
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
                    case ["power", laser, value]:
                        set_power(bench[laser], float(value))
                        _say({"power": float(value)})
                    case ["call", device, operation]:
                        getattr(bench[device], operation)()
                        _say({"called": operation})
                    case _:
                        break
            bench.renew()
            if watched:  # a loop is told of its interlocks at its calls
                _ = bench[words[1]].emission
            time.sleep(_RENEW_EVERY_S)
    _say({"off": True})
    return None


@contextlib.contextmanager
def _noting_when() -> Iterator[None]:
    """Errors know when they were raised: giving control back comes after, and takes its time."""
    try:
        yield
    except LabError as error:
        error.detected_ns = time.monotonic_ns()  # type: ignore[attr-defined]
        raise


def _loop(bench: Bench, laser: str, device: str, orders: queue.Queue[str]) -> None:
    use = _USES[bench[device].description.kind]
    rounds = 0
    with bench.control("measuring loop of the ledger"):
        bench[laser].emission = True
        try:
            while orders.empty():
                use(bench[device], rounds)
                rounds += 1
                if rounds == 1:
                    _say({"on": [laser]})
                bench.renew()
        except LabError as error:
            detected_ns = time.monotonic_ns()
            told = {"error": type(error).__name__, "message": str(error), "detected_ns": detected_ns, "rounds": rounds}
    if orders.empty():
        return _say(told)
    orders.get()
    return _say({"off": True, "rounds": rounds})


def set_power(laser: DeviceProxy, value: float) -> None:
    """W of a pump, a fraction of a supercontinuum."""
    setattr(laser, "power_w" if laser.description.kind == "pump" else "power_fraction", value)


def _write(slm: DeviceProxy, number: int) -> None:
    slm.write_gray(np.full((slm.rows, slm.columns), number % 2, np.uint8))


_PATTERNS = Sequence(
    base=np.zeros((8, 16)),
    base_origin=(0, 0),
    patches=np.zeros((1, 2, 2)),
    patch_origins=np.zeros((1, 2), np.int32),
    offsets=np.zeros(4, np.int32),
    indices=np.zeros(0, np.int32),
)
"""Three times the same pattern, which noise makes three frames of."""
_USES: dict[str, Callable[[DeviceProxy, int], object]] = {
    "slm": _write,
    "camera": lambda camera, number: camera.trigger(),
    "photodetector": lambda meter, number: meter.measure(),
    "sequencer": lambda sequencer, number: sequencer.play(_PATTERNS, [], frames=True),
    "pump": lambda laser, number: laser.power_w,
    "supercontinuum": lambda laser, number: laser.power_fraction,
}
"""What is done with a device of a kind, again and again."""


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
