"""A drill: light is refused, allowed, put out by an interlock, and comes back once somebody has acknowledged.

python examples/interlocks.py [BENCH]
"""

from __future__ import annotations

import sys

import numpy as np

from labctl.client import InterlockError, open_bench


def main(bench_file: str = "drill") -> None:
    """Too much power for the meter: the laser goes dark, and the control loop is told."""
    with open_bench(bench_file) as bench, bench.control("a drill"):
        bench.disarm()
        bench.slm.write(np.zeros((100, 100), np.float32))
        try:
            bench.pump.emission = True
        except InterlockError as refusal:
            print(refusal)

        bench.arm()  # `labctl arm`; for laser operators
        bench.pump.emission = True  # half a second: the power rises by 2 W/s
        print(f"light at {bench.pump.power_w} W, the meter reads {bench.meter.measure().power_w * 1e3:.2f} mW")

        try:
            bench.pump.power_w = 4.0  # the meter may read 30 mW, which is 3 W
            while True:
                bench.camera.trigger()
        except InterlockError as trip:
            print(trip)

        bench.pump.power_w = 1.0
        bench.acknowledge("power", "a drill")  # `labctl ack`; a control loop waits for it: bench.wait_acknowledged()
        bench.pump.emission = True
        print(f"and again at {bench.pump.power_w} W")
        for event in bench.interlock_events():
            print(f"{event['what']}: {event['interlock']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
