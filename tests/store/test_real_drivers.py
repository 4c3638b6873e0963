"""The real drivers of the table, on emulated instruments, do with calibrations what the simulated devices do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl import open_bench
from labctl.client import ROI, CalibrationError, correct
from labctl.store import Calibration, Measured, Store

pytestmark = pytest.mark.hil


@pytest.mark.timeout(600)
def test_real_drivers_use_what_is_in_force_and_refuse_another_instruments(repository: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    bench_file = repository / "benches" / "prbm-emulated.toml"
    with open_bench(bench_file, {"calibrations.folder": str(store.path)}) as bench:
        identities = {role: device.identity() for role, device in bench.devices.items()}
        rows, columns, levels = bench.slm.rows, bench.slm.columns, bench.slm.levels
        ramp = np.arange(levels) * (2 * np.pi * 1.3 / levels)
        one_turn = np.where(ramp < 2 * np.pi, ramp, np.nan)
        offset = np.full((bench.camera.rows, bench.camera.columns), 100.0, np.float32)

        def put(kind: str, role: str, values: dict[str, Measured], of: str = "") -> str:
            made = store.add(
                Calibration(
                    kind=kind,
                    routine="made-up",
                    bench=bench.name,
                    role=role,
                    devices={role: identities[of or role]},
                    values=values,
                )
            )
            store.use(made)
            return made

        edges = {"row_edges": Measured([0, rows]), "column_edges": Measured([0, columns])}
        table = put("phase_table", "slm", {**edges, "phase_rad": Measured(one_turn[None, None, :], "rad")})
        dark = put(
            "dark", "camera",
            {"offset_counts": Measured(offset, "counts"), "rate_counts_per_s": Measured([[0.0]], "counts/s")},
        )  # fmt: skip
        put("power_curve", "source", {"set_point": Measured([0.0, 1.0]), "emitted_w": Measured([0.0, 0.06], "W")})
        with bench.control():
            assert bench.slm.calibration_ids == {"phase_table": table}
            bench.slm.write(np.full((rows, columns), np.pi))
            assert (bench.slm.read_back() == round(levels / 2.6)).all()
            bench.camera.roi = ROI(row=1000, column=1200, rows=64, columns=64)
            frame = bench.camera.trigger()
            corrected = correct(frame, bench.camera.correction())
            np.testing.assert_array_equal(corrected.counts, frame.data - 100.0)
            assert corrected.calibration_ids == {"dark": dark}
            bench.source.power_fraction = 0.3
            assert bench.source.emitted_w() == pytest.approx(0.018)
        put("dark", "camera", {"offset_counts": Measured(offset, "counts")}, of="slm")
        with pytest.raises(CalibrationError, match=r"camera: .* is foreign"), bench.control():
            pass
