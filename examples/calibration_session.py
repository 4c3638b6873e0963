"""A calibration session: measure what is not known yet, keep it, use it, and see later whether it still holds.

python examples/calibration_session.py [BENCH [ANOTHER TABLE'S SEED]]
"""

import sys

import labctl
from labctl.client import ROI, CalibrationError, check_on, correct


def main(bench_file: str = "prbm-lab", another: int = 8) -> None:
    """The camera's dark frame and the laser's power curve, on a table with everything hidden in it."""
    for routine in ("camera.dark", "laser-power"):
        made = labctl.calibrate(routine, bench_file)
        for c in made.calibrations:
            checks = ", ".join(f"{check.name}: {check.value:.2g}" for check in c.checks)
            print(f"{c.role}.{c.kind} {c.id[:12]} is in force ({checks})")

    with labctl.open_bench(bench_file, control="calibrated light") as bench:
        bench.camera.roi = ROI(row=1016, column=1216, rows=128, columns=128)  # what was measured
        dark = correct(bench.camera.snap(), bench.camera.correction())
        print(f"dark frame, corrected: {dark.counts.mean():.2f} counts on average")

        wanted_w = 0.5 * bench.calibration("power_curve")["emitted_w"].max()
        bench.source.power_fraction = bench.source.set_point_for(wanted_w)
        told = bench.source.power_fraction
        print(
            f"{wanted_w * 1e3:.1f} mW by the curve: set-point {told:.4f}, gives {bench.source.emitted_w() * 1e3:.1f} mW"
        )

    with labctl.open_bench(bench_file) as bench:  # the next morning: seconds, not minutes
        for checked in check_on(bench, ["camera.dark"]):
            print(f"{checked.name}: {checked.state}")

    # Another table is another laser: what was measured is refused there, never applied by mistake.
    try:
        with labctl.open_bench(bench_file, {"world.seed": another}, control="somebody else's table"):
            print("nothing was refused")
    except CalibrationError as refusal:
        print(f"refused on another table: {refusal}")


if __name__ == "__main__":
    main(*sys.argv[1:])
