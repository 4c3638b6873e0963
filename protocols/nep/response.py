"""`nep.response`: where the sheet settles, for given potential, weights and inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from labctl.client import Bench, Recorder
from protocols.nep.figure import NepFigure, per_sample, sample_names, with_picture
from protocols.nep.loop import IdealLoop, require_good
from protocols.nep.network import TaskParameters
from protocols.nep.opening import opened_loop
from protocols.nep.phases import LoopParameters
from protocols.nep.response_picture import draw_response
from simulators.physics.sheet.nudge import output_cost
from simulators.physics.sheet.steady import steady_state


class ResponseParameters(TaskParameters, LoopParameters):
    """A network, and what it is pumped with."""


class Response(NepFigure):
    """Steady states of Eq. (13), one for each sample.

    Values: `psi_re`, `psi_im` (samples, *nodes); `outputs`, |psi|^2 at the output, a number for each sample (a list of
    numbers where there are several outputs); `cost`, the sum over samples (null without targets); `density`, mean
    |psi|^2, and `blueshift_over_loss`, mean f / gamma; by arithmetic also `residual`, the largest |kappa|, and
    `iterations` of each sample.
    """

    Parameters = ResponseParameters

    def prepare(self, parameters: ResponseParameters, record: Recorder) -> None:
        """Read the lists."""
        self.task = parameters.task()

    def run(self, bench: Bench, parameters: ResponseParameters, record: Recorder) -> dict[str, Any]:
        """Settle, once."""
        p, task = parameters, self.task
        pumps = task.pumps()
        found: dict[str, Any] = {}
        with opened_loop(p, task.network, bench, record) as loop:
            loop.check(task.V, pumps)
            fields = loop.measure(task.V, pumps)
            found |= loop.report()
            if isinstance(loop, IdealLoop):
                states = steady_state(task.V + loop.hidden, pumps, loop.sheet)
                found |= {"residual": float(states.residual.max()), "iterations": states.iterations.tolist()}
        require_good(fields.good)
        outputs = fields.outputs(task.network.outputs, task.network.sheet)
        self.fields, self.outputs = fields, outputs
        cost = None
        if task.targets is not None:
            cost = float(output_cost(outputs, task.targets, p.cost, p.gain).sum())
        f = p.g * fields.density if p.nonlinearity == "density" else p.g / (1 + np.maximum(fields.density, 0))
        return {
            "psi_re": fields.psi.real.tolist(),
            "psi_im": fields.psi.imag.tolist(),
            "outputs": per_sample(outputs),
            "cost": cost,
            "density": float(fields.density.mean()),
            "blueshift_over_loss": float((f / np.asarray(task.network.sheet.gamma)).mean()),
            **found,
        }

    def conclude(self, results: dict[str, Any], parameters: ResponseParameters, record: Recorder) -> dict[str, Any]:
        """Tell and draw."""
        told = ", ".join(
            f"{name}: {' '.join(f'{x:.4g}' for x in row)}"
            for name, row in list(zip(sample_names(self.task), self.outputs, strict=True))[:8]
        )
        cost = "" if results["cost"] is None else f"; cost {results['cost']:.4g}"
        record.console.done(f"outputs {told}{cost}")
        with_picture(record, "response", lambda path: draw_response(path, self.task, self.fields))
        return results
