"""`nep.cost`: time and energy of training digits on a bench, in the sheet's physical units, and on this processor."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Bench, Recorder
from protocols.nep.cost.model import MODES, Task, decay_w, settling_s, spent
from protocols.nep.cost.parameters import CostParameters
from protocols.nep.cost.picture import draw_cost
from protocols.nep.figure import NepFigure, with_picture
from protocols.nep.images.inputs import DIGITS, Digits, load
from protocols.nep.images.recipe import recipe_for
from protocols.nep.images.trainer import CellTrainer
from simulators.physics.sheet.cells import CellSolver
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.march import march

_SIDE = 15
_LEFT = 1e-6
"""Of a transient, where Runge-Kutta ends."""


class Cost(NepFigure):
    """What training ten 15x15 cells costs: a short training is timed, and what a bench would take is priced.

    Measured: `cpu_sample_s` (both phases of an image in all cells, and its share of updates, one core), `rk4_sample_s`
    (the same by compiled Runge-Kutta in steps of 0.1 until exp(-gamma t) is 1e-6), `density` and `pump`, means of
    |psi|² and |P|² after the short training. Priced, for `samples` x `epochs`: `cpu_s`, `cpu_j`, `rk4_s`; and by mode,
    `settling`, `modulator` and `table`: `sample_s`, `training_s`, `light_j`, `electric_j`, `slower` (training_s /
    cpu_s) and `hungrier` (electric_j / cpu_j). Units: `time_unit_s`, `length_unit_m`, `density_unit_m2`, `lifetime_s`
    of a polariton, `settling_s` of a phase, `decay_w` that the sheet's polaritons lose as light, `pump_mev`, root mean
    square. `assumptions` has all that this stands on.
    """

    Parameters = CostParameters

    def prepare(self, parameters: CostParameters, record: Recorder) -> None:
        """Read the images."""
        recipe = recipe_for(parameters.rule, _SIDE, "Vw")
        self.digits: Digits = load(parameters.data, parameters.timed, _SIDE, recipe.encoding)

    def run(self, bench: Bench, parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Train a little, and time it."""
        p = parameters
        recipe = recipe_for(p.rule, _SIDE, "Vw")
        sheet = Sheet((_SIDE, _SIDE), p.g, p.gamma, "density")
        solver = CellSolver(sheet, _SIDE // 2 * (_SIDE + 1), 0.01)
        trainer = CellTrainer(self.digits.train, (solver, solver), recipe, p.rule, "Vw", record.seed)
        with threadpool_limits(1, user_api="blas"):
            for step in record.steps(p.timed_epochs, "epochs, timed"):
                report = trainer.run_epoch()
                step.save(cpu_s=report.cpu_s, accuracy=report.accuracy)
        w, x = trainer.network.w, self.digits.train.x
        pump = (np.mean(x.astype(np.float64) ** 2, axis=0) * w**2).mean()
        shift = trainer.network.shift.mean() / (2 * p.g)
        return {"density": float(shift), "pump": float(pump), "rk4_sample_s": in_time_s(trainer, sheet)}

    def conclude(self, results: dict[str, Any], parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Price, tell and draw."""
        p = parameters
        cpu = np.asarray(record.series("cpu_s"))[1:]
        values = priced(float(np.median(cpu)) / p.timed, results, p)
        for mode in MODES:
            record.console.done(
                f"{mode}: {values['training_s'][mode]:.3g} s, {values['electric_j'][mode]:.3g} J; this processor "
                f"{values['cpu_s']:.3g} s, {values['cpu_j']:.3g} J"
            )
        with_picture(record, "cost", lambda path: draw_cost(path, values))
        return values


def in_time_s(trainer: CellTrainer, sheet: Sheet) -> float:
    """Processor time of both phases of an image in ten cells by Runge-Kutta."""
    shape = (DIGITS, _SIDE, _SIDE)
    V = trainer.network.V.reshape(shape).astype(np.complex128)
    pumps = (trainer.network.w * trainer.data.x[0]).reshape(shape).astype(np.complex128)
    march(0.0, V[:1], pumps[:1], sheet, 1.0)  # compiles
    duration = math.log(1 / _LEFT) / float(np.min(sheet.gamma))
    begun_s = time.process_time()
    free = march(0.0, V, pumps, sheet, duration)
    march(free, V, pumps, sheet, duration)
    return time.process_time() - begun_s


def priced(cpu_sample_s: float, measured: dict[str, float], p: CostParameters) -> dict[str, Any]:
    """Values from what was measured."""
    units, bench = p.units, p.hardware
    nodes = DIGITS * _SIDE * _SIDE
    task = Task(p.samples, p.epochs, p.batch, p.phases, nodes, measured["density"], measured["pump"])
    cpu_s = cpu_sample_s * p.samples * p.epochs
    cpu_j = cpu_s * p.cpu_w
    by_mode = {mode: asdict(spent(mode, task, units, bench)) for mode in MODES}
    values: dict[str, Any] = {
        name: {mode: row[name] for mode, row in by_mode.items()}
        for name in ("sample_s", "training_s", "light_j", "electric_j")
    }
    return {
        **values,
        "slower": {mode: row["training_s"] / cpu_s for mode, row in by_mode.items()},
        "hungrier": {mode: row["electric_j"] / cpu_j for mode, row in by_mode.items()},
        "cpu_sample_s": cpu_sample_s,
        "cpu_s": cpu_s,
        "cpu_j": cpu_j,
        "rk4_sample_s": measured["rk4_sample_s"],
        "rk4_s": measured["rk4_sample_s"] * p.samples * p.epochs,
        "density": measured["density"],
        "pump": measured["pump"],
        "pump_mev": math.sqrt(measured["pump"]) * p.energy_mev,
        "time_unit_s": units.time_s,
        "length_unit_m": units.length_m,
        "density_unit_m2": units.density_m2,
        "lifetime_s": units.lifetime_s,
        "settling_s": settling_s(units, bench),
        "decay_w": decay_w(task, units, bench),
        "samples": p.samples,
        "epochs": p.epochs,
        "assumptions": p.assumptions(),
    }
