"""First light: write a binary grating, look at the focal plane, and see its orders where they belong.

python examples/first_light.py [BENCH]
"""

from __future__ import annotations

import sys

import numpy as np

from labctl.client import ROI, open_bench


def main(bench_file: str = "prbm-sim") -> None:
    """Two frames around the zeroth order: a flat panel and a grating of 32 pixels."""
    with open_bench(bench_file) as bench, bench.control("first light"):
        bench.source.power_fraction = 0.001
        bench.camera.exposure_s = 5e-5
        bench.camera.roi = ROI(row=1060, column=980, rows=40, columns=600)
        bench.source.emission = True

        columns = np.arange(bench.slm.columns)
        flat = np.zeros((bench.slm.rows, bench.slm.columns), np.float32)
        grating = np.broadcast_to((columns // 16 % 2) * np.float32(np.pi), flat.shape)

        for name, phase in (("flat", flat), ("grating of 32 pixels", grating)):
            pattern = bench.slm.write(np.ascontiguousarray(phase))
            bench.slm.settle()
            frame = bench.camera.trigger(pattern)
            line = frame.data.astype(float).mean(axis=0)
            brightest = int(line.argmax()) + frame.roi.column
            print(
                f"{name}: brightest at column {brightest}, {line.max():.0f} counts, {frame.saturated} saturated, "
                f"exposure {frame.exposure_s * 1e6:.1f} us, pattern {frame.pattern_id}"
            )
    # Leaving control has turned the light off. First orders lie lambda f / (32 x 8 um) = 0.47 mm = 72 pixels away.


if __name__ == "__main__":
    main(*sys.argv[1:])
