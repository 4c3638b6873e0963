"""`langevin.heat`: what heat denoising makes, beside training's bound and a digital denoiser's energy."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.langevin.figure import told_as_configuration, with_picture
from protocols.langevin.generation.denoising import described, judged, seen
from protocols.langevin.generation.generate import tell
from protocols.langevin.generation.heat_picture import draw_heat
from protocols.langevin.generation.making import MakeParameters, MakingFigure
from protocols.langevin.training.training import Training
from simulators.physics.langevin.irreversibility import reversal

PAPER = {"heat": 2.9e3, "heat_sd": 3.5e2}
"""Of 1000 trajectories, k_BT."""

MAC_J = 1e-12
"""Energy of a multiply-accumulate (Horowitz 2014)."""
DENOISER_MACS = 784 * 128 + 128 * 128 + 128 * 784
DENOISER_CALLS = 10
"""Of the paper's perceptron, and how often it is used for an image."""

_BOLTZMANN_J_K = 1.380649e-23
_ROOM_K = 300.0
_NOISING_SEED = 1


class HeatParameters(MakeParameters):
    """As for langevin.train, and how often the computer is let go."""

    trajectories: int = Field(1000, ge=2, le=10**6, description="of denoising")
    reversed: int = Field(
        4, ge=1, le=10_000, description="noising trajectories of each image whose reversal is weighed"
    )
    noise_temperature_k: float = Field(
        _ROOM_K, gt=0, le=1e15, description="that k_BT of the injected noise stands for; amplifiers come on top"
    )


class Heat(MakingFigure):
    """Q = V(x(0)) - V(x(t_f)) over trajectories of denoising; no work is done meanwhile.

    Values: `heat` and `heat_err`, `heat_sd` and `heat_sd_err` (k_BT), `heat_paper`, `heat_sd_paper`; `amplitude`,
    `hidden_amplitude`, `J2`, `J4`, `duration`, `dt` that give it; `correlation`, `shares` as of langevin.generate.

    Of noising trajectories ω (Eqs 13, 14): `ln_ratio`, mean of ln P_0[ω]/P_θ[ω̃]; `half_heats`, mean of
    -(Q_0 + Q_θ)/2, which (14) has for it; `force_term`, mean of (dt/4) Σ(|F_θ|² - |F_0|²), which it drops;
    `identity_error`, largest difference of ln_ratio and the sum of both, relative. `irreversibility`, ln_ratio and the
    entropies of both ends together, cannot be negative on average; training lowers it from `irreversibility_untrained`.

    loop=device: heat is that of the programmed energy at the states that were read, less `heat_of_noise`; `read_noise`,
    `beyond`, `bench_s`. Noising trajectories are those of the equations, with the couplings that were trained.

    `energy_j` of an image at ``noise_temperature_k``, `digital_j` of a perceptron used ten times, `advantage`, their
    ratio.
    """

    Parameters = HeatParameters

    def targets(self, parameters: HeatParameters) -> dict[str, dict[str, float]] | None:
        """The paper's mean, within its own spread."""
        varied = {name: getattr(parameters, name) for name in ("data", "workers", "reversed", "scheme", "loop")}
        if parameters != HeatParameters(**varied):
            return None
        return {
            "heat": {"min": PAPER["heat"] - PAPER["heat_sd"], "max": PAPER["heat"] + PAPER["heat_sd"]},
            "irreversibility": {"min": 0.0},
            "identity_error": {"max": 1e-9},
        }

    def run(self, bench: Bench, parameters: HeatParameters, record: Recorder) -> dict[str, Any]:
        """Denoise, then weigh noising trajectories."""
        p = parameters
        return self.make(bench, p, record, p.trajectories, [0.0, p.duration]) | self._reversed(p, record.seed)

    def _reversed(self, p: HeatParameters, seed: int) -> dict[str, float]:
        t, trained = Training(p, seed), self.trained
        assert trained is not None
        J, none = trained.J.astype(np.float64), np.zeros_like(trained.J, np.float64)
        with told_as_configuration():
            found = reversal(t.drive, t.units, J, trained.b, p.duration, p.dt, p.reversed, seed + _NOISING_SEED)
            bare = reversal(
                t.drive, t.units, none, np.zeros(len(t.units)), p.duration, p.dt, p.reversed, seed + _NOISING_SEED
            )
        return {
            "ln_ratio": float(found.ln_ratio.mean()),
            "ln_ratio_err": float(found.ln_ratio.std(ddof=1)) / len(found.ln_ratio) ** 0.5,
            "half_heats": float(found.half_heats.mean()),
            "force_term": float(found.force_term.mean()),
            "identity_error": found.identity_error,
            "irreversibility": float((found.ln_ratio + found.ends).mean()),
            "irreversibility_untrained": float((bare.ln_ratio + bare.ends).mean()),
        }

    def conclude(self, results: dict[str, Any], parameters: HeatParameters, record: Recorder) -> dict[str, Any]:
        """Compare and draw."""
        p, trained = parameters, self.trained
        assert trained is not None
        x, heat = seen(record, p.trajectories)
        found = described(judged(x[:, -1], trained.images), heat, len(trained.images))
        digital = DENOISER_MACS * DENOISER_CALLS * MAC_J
        energy = found["heat"] * _BOLTZMANN_J_K * p.noise_temperature_k
        values = {
            **found,
            **results,
            "heat_paper": PAPER["heat"],
            "heat_sd_paper": PAPER["heat_sd"],
            "amplitude": p.amplitude,
            "hidden_amplitude": p.hidden_amplitude or p.amplitude,
            "hidden_drive": p.hidden_drive,
            "J2": p.J2,
            "J4": p.J4,
            "duration": p.duration,
            "dt": p.dt,
            "energy_j": energy,
            "digital_j": digital,
            "advantage": digital / energy,
            "model": str(self.model),
        }
        tell(record, values)
        record.console.done(
            f"irreversibility {values['irreversibility']:.0f} k_BT a trajectory, untrained "
            f"{values['irreversibility_untrained']:.0f}; ln ratio {values['ln_ratio']:.0f}, half heats "
            f"{values['half_heats']:.0f}, force term {values['force_term']:.0f}"
        )
        record.console.done(
            f"{energy:.2g} J an image, a digital denoiser {digital:.2g} J: {values['advantage']:.1e} times"
        )
        with_picture(record, "heat", lambda path: draw_heat(path, judged(x[:, -1], trained.images), heat, values))
        return values
