"""`langevin.train`: couplings by which a thermodynamic computer makes images of noise (Whitelam 2025, Eqs 7 to 12)."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from labctl.client import Bench, Recorder
from protocols.langevin.computer import BoardComputer
from protocols.langevin.figure import LangevinFigure, with_picture
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.picture import draw_training
from protocols.langevin.training.training import Training

_BATCH, _FIT = 0, 1


class Train(LangevinFigure):
    """A computer that most probably reverses trajectories in which images fade into noise.

    Values: `model`, a file of J (N, N), b (N,) and what belongs to them; `action`, of an image's trajectory reversed
    (k_BT), less that of the computer without couplings; `gap`, its gradient relative to that without couplings;
    `iterations`, `images`, `units`, `visible`; `coupling_rms` and `coupling_max` of pairs that may be coupled; `rate`
    of the ascent; `seconds`. With coupling_bits `action` is that of the rounded couplings. Series: phase (0: noising,
    1: fit), action, gap, seconds. noising=measured trains in situ: noising runs on the bench's computer, and `beyond`
    is the share of its readings, of the worst image, that lay at the end of the converter, where they say too little:
    amplitude or bias range is too large if it is not small.
    """

    Parameters = TrainParameters

    def prepare(self, parameters: TrainParameters, record: Recorder) -> None:
        """Read images, go on where a run that is resumed was."""
        self.training = Training(parameters, record.seed)
        if record.resumed is not None:
            self.training.restore(record.resumed)

    def run(self, bench: Bench, parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Noise and fit; a checkpoint every half a second."""
        t, in_situ = self.training, parameters.noising == "measured"
        begun = time.perf_counter() - (0.0 if record.resumed is None else float(record.resumed["seconds"]))
        beyond = 0.0
        with bench.control(record.name, run=record.path.stem) if in_situ else nullcontext():
            computer = BoardComputer(bench, t.units, first_run=t.batch) if in_situ else None
            for step in record.steps(t.batches, "noising images"):
                t.noise(computer)
                beyond = max(beyond, 0.0 if computer is None else computer.beyond)
                seconds = time.perf_counter() - begun
                step.save(phase=_BATCH, action=0.0, gap=1.0, seconds=seconds)
                if in_situ or record.checkpoint_due or t.batch == t.batches:
                    record.checkpoint(**t.state(), seconds=seconds)
        for step in record.steps(parameters.iterations, "fitting couplings"):
            fit = t.improve()
            seconds = time.perf_counter() - begun
            step.note(f"gradient {fit.gap:.1e} of what it was")
            step.save(phase=_FIT, action=fit.action, gap=fit.gap, seconds=seconds)
            if fit.gap < parameters.settled:
                break
            if record.checkpoint_due:
                record.checkpoint(**t.state(), seconds=seconds)
        return {"beyond": beyond} if in_situ else {}

    def conclude(self, results: dict[str, Any], parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Keep the computer, draw."""
        t = self.training
        assert t.fit is not None
        rate = t.fit.rate
        t.finish()
        trained = t.trained
        path = record.path.with_name(f"{record.path.stem}-model.npz")
        trained.save(path)
        series = {name: np.asarray(record.series(name)) for name in ("phase", "action", "gap", "seconds")}
        coupled = trained.J[t.mask]
        values = {
            **results,
            "model": str(path),
            "action": t.fit.action,
            "gap": float(series["gap"][-1]),
            "iterations": int((series["phase"] == _FIT).sum()),
            "images": len(t.images),
            "units": len(t.units),
            "visible": t.visible,
            "coupling_rms": float(np.sqrt(np.mean(np.square(coupled)))),
            "coupling_max": float(np.abs(coupled).max()),
            "rate": rate,
            "seconds": float(series["seconds"][-1]),
            "data": t.images.origin,
        }
        record.console.done(
            f"{len(t.images)} images, {values['units']} units: action {values['action']:.4g} k_BT, couplings "
            f"{values['coupling_rms']:.3g} rms, {values['seconds']:.1f} s"
        )
        with_picture(record, "training", lambda picture: draw_training(picture, t, trained, series, record.name))
        return values
