"""`langevin.generate`: images of noise by a trained thermodynamic computer (Whitelam 2025, Fig. 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.langevin.figure import LangevinFigure, with_picture
from protocols.langevin.generation.denoising import TRAJECTORIES, denoise, described, judged, on_board, seen
from protocols.langevin.generation.picture import draw_generation
from protocols.langevin.loop import LoopParameters, computer_of
from protocols.langevin.model import Trained


class GenerateParameters(LoopParameters):
    """Which computer, how often."""

    model: Path = Field(description="file that langevin.train wrote")
    trajectories: int = TRAJECTORIES
    readings: int = Field(6, ge=2, le=1000, description="of a trajectory, evenly spaced from its beginning to its end")


class Generate(LangevinFigure):
    """Trajectories from noise, what they show at the end, and their heat.

    Values: `correlation` with the most similar training image (absolute; mean, `_sd`, `_err`); `like`, the share above
    0.8; `shares` by training image and `smallest_share`; `inverted`, the share of negatives; `heat`, Q of a trajectory
    (k_BT; mean, `_err`, `heat_sd` with `_err`); `trajectories`. Series x and heat. loop=device: heat is that of the
    programmed energy at the states that were read, less `heat_of_noise`; `read_noise`, `beyond`, `bench_s` it took.
    """

    Parameters = GenerateParameters

    def prepare(self, parameters: GenerateParameters, record: Recorder) -> None:
        """Read the computer."""
        self.trained = Trained.load(parameters.model)

    def run(self, bench: Bench, parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Denoise."""
        p = parameters
        times = np.linspace(0, self.trained.duration, p.readings)
        begun_s = bench.time_s()
        with computer_of(p, self.trained.units, bench, record) as computer:
            denoise(computer, self.trained, p.trajectories, times.tolist(), record)
        return {"bench_s": bench.time_s() - begun_s, **on_board(record)} if p.loop == "device" else {}

    def conclude(self, results: dict[str, Any], parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Judge and draw."""
        x, heat = seen(record, parameters.trajectories)
        found = judged(x[:, -1], self.trained.images)
        values = {**results, **described(found, heat, len(self.trained.images))}
        tell(record, values)
        with_picture(record, "generated", lambda path: draw_generation(path, self.trained, x, heat, record.name))
        return values


def tell(record: Recorder, v: dict[str, Any]) -> None:
    """In words."""
    shares = " ".join(f"{share:.2f}" for share in v["shares"][:12])
    record.console.done(
        f"|correlation| {v['correlation']:.3f} ± {v['correlation_sd']:.3f} (sd), shares {shares}, "
        f"{100 * v['inverted']:.0f} % negatives"
    )
    record.console.done(
        f"heat {v['heat']:.0f} ± {v['heat_err']:.0f} k_BT, spread {v['heat_sd']:.0f} ± {v['heat_sd_err']:.0f}, "
        f"{v['trajectories']} trajectories"
    )
