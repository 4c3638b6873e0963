"""A run as one archive of numpy arrays."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.plain import plain
from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter


class Npz(Exporter):
    """NumPy: one .npz with steps/NAME, step_times, data/NAME, results/NAME, and all that is no array as JSON in run."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Compressed, one array at a time; read it with `numpy.load`, without pickles."""
        exported = Exported([folder / f"{stem}.npz"])
        told = dict(run.told)
        with zipfile.ZipFile(exported.files[0], "x", zipfile.ZIP_DEFLATED) as archive, run.reading() as a:

            def put(name: str, array: NDArray[Any]) -> None:
                if array.dtype.kind == "O":
                    exported.left_out[name] = "texts"
                    return
                with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
                    np.lib.format.write_array(out, array, allow_pickle=False)

            for name, series in a.series.items():
                put(f"steps/{name}", np.asarray(series[: a.steps]))
            times = run.step_times(a.steps)
            if times is not None:
                put("step_times", times)
            for name, kept in a.data.items():
                put(f"data/{name}", np.asarray(kept[()]))
            for name, value in run.results.items():
                if isinstance(value, np.ndarray):
                    put(f"results/{name}", value)
            told["results"] = {name: v for name, v in run.results.items() if not isinstance(v, np.ndarray)}
            put("run", np.array(json.dumps(plain(told | dict(a.texts)))))
        return exported
