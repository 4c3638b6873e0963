"""Experiments that train a computer and let it go: on the bench or by the equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.langevin.figure import LangevinFigure
from protocols.langevin.generation.denoising import denoise, on_board
from protocols.langevin.loop import Loop, computer_of
from protocols.langevin.model import Trained
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.training import Training, train_now


class MakeParameters(TrainParameters, Loop):
    """As for langevin.train, and who denoises. noising=measured trains on the bench's computer, with loop=device."""


class MakingFigure(LangevinFigure):
    """The trained computer is kept beside the run, and a run that is resumed goes on with it."""

    trained: Trained | None = None

    def prepare(self, parameters: Any, record: Recorder) -> None:
        """Train, unless it is done in situ or was done. parameters: `MakeParameters`."""
        in_situ = parameters.noising == "measured"
        if in_situ and parameters.loop != "device":
            raise ConfigurationError("noising=measured needs a computer; choose loop=device")
        self.model = record.path.with_name(f"{record.path.stem}-model.npz")
        if record.steps_saved and self.model.exists():
            self.trained = Trained.load(self.model)
        elif not in_situ:
            self.trained = train_now(parameters, record.seed)
            self.trained.save(self.model)

    def make(
        self, bench: Bench, p: MakeParameters, record: Recorder, trajectories: int, times: Sequence[float]
    ) -> dict[str, Any]:
        """Denoise, after training in situ. Values: of a board `bench_s` and those of `on_board`."""
        training = Training(p, record.seed)
        # A simulated board begins anew whenever control is taken: its time, and the numbers of its runs.
        before = training.batches if p.noising == "measured" else 0
        spent_s = 0.0
        if self.trained is None:
            with computer_of(p, training.units, bench, record) as computer:
                begun_s = bench.time_s()
                training.noise_all(computer)
                spent_s = bench.time_s() - begun_s
            self.trained = training.fitted()  # without control of the bench, whose lease it would outlast
            self.trained.save(self.model)
        with computer_of(p, training.units, bench, record, before) as computer:
            begun_s = bench.time_s()
            denoise(computer, self.trained, trajectories, times, record)
            spent_s += bench.time_s() - begun_s
        return {"bench_s": spent_s, **on_board(record)} if p.loop == "device" else {}
