"""`nep.gradient`: the direction in which potential and weights would be moved, beside the exact one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.nep.figure import NepFigure, per_sample, with_picture
from protocols.nep.gradient_picture import draw_gradient
from protocols.nep.loop import IdealLoop, Loop, measured_descent, require_good
from protocols.nep.network import Task, TaskParameters
from protocols.nep.opening import opened_loop
from protocols.nep.phases import NudgeParameters
from protocols.nep.signal import settled
from simulators.physics.sheet.equation import Array, Complex
from simulators.physics.sheet.gradients import Descent, cosine, descent
from simulators.physics.sheet.nudge import output_cost, output_error, outputs_of


class GradientParameters(TaskParameters, NudgeParameters):
    """A network with its samples and targets, and how the gradient is had."""

    method: Literal["nep", "conjugate", "exact"] = Field(
        "nep", description="contrast by the paper's nudge, by the phase-conjugate one, or the adjoint's exact gradient"
    )
    reduction: Literal["sum", "mean"] = Field("sum", description="over samples")


class Gradient(NepFigure):
    """Descent directions -dC/dw and -dC/dV, of the sum (or the mean) over samples.

    Values: `dw` (inputs), `dV` (*nodes) of real weights and a real potential; `dw_im`, `dV_im` of their imaginary parts
    (Im V > 0 is gain); `dw_exact`, `dV_exact` by the adjoint, and `cosine_w`, `cosine_V` of the angles to them;
    `outputs` and `cost` of the free phase.
    """

    Parameters = GradientParameters

    def prepare(self, parameters: GradientParameters, record: Recorder) -> None:
        """Read the lists."""
        self.task = parameters.task()
        self.task.wanted()

    def run(self, bench: Bench, parameters: GradientParameters, record: Recorder) -> dict[str, Any]:
        """Measure the contrast, and work out the exact gradient."""
        p, task = parameters, self.task
        targets, sheet = task.wanted(), task.network.sheet
        plan = p.plan(task.network, p.method, p.cost, p.gain)
        hidden = p.hidden_potential(record.seed)
        with opened_loop(p, task.network, bench, record) as loop:
            pumps = task.pumps()
            loop.check(task.V, pumps)
            if p.method == "exact":
                free = loop.measure(task.V, pumps)
                require_good(free.good)
                found = exact(task, free.psi, hidden, p.cost, p.gain)
            else:
                if p.beta == "auto":
                    start = task.network, task.V, task.w, task.X, targets
                    plan, _ = settled(loop, *start, plan, p, None, task.P)
                free, nudged = loop.phases(task.V, pumps, targets, plan)
                found, good = measured_descent(free, nudged, plan)
                require_good(good)
            truth = exact(task, noiseless(loop, task, hidden), hidden, p.cost, p.gain)
        share = 1.0 if p.reduction == "sum" else 1.0 / len(task.X)
        V, w = (share * x for x in totals(found, task))
        V_exact, w_exact = (share * x for x in totals(truth, task))
        outputs = free.outputs(task.network.outputs, sheet)
        return {
            "dw": w.real.tolist(),
            "dV": V.real.tolist(),
            "dw_im": w.imag.tolist(),
            "dV_im": V.imag.tolist(),
            "dw_exact": w_exact.real.tolist(),
            "dV_exact": V_exact.real.tolist(),
            "cosine_w": cosine(w.real, w_exact.real),
            "cosine_V": cosine(V.real, V_exact.real),
            "outputs": per_sample(outputs),
            "cost": float(output_cost(outputs, targets, p.cost, p.gain).sum()),
            "method": p.method,
            "beta": plan.beta,
            "nudge": "injected" if plan.injects else plan.kind,
            "sides": plan.sides,
        }

    def conclude(self, results: dict[str, Any], parameters: GradientParameters, record: Recorder) -> dict[str, Any]:
        """Tell and draw."""
        v = results
        record.console.done(
            f"-dC/dw {' '.join(f'{x:.4g}' for x in v['dw'][:8])}; cosines with the exact gradient: w "
            f"{v['cosine_w']:.4f}, V {v['cosine_V']:.4f}"
        )
        with_picture(record, "gradient", lambda path: draw_gradient(path, self.task, v))
        return v


def exact(task: Task, psi: Complex, hidden: Any, cost: str, gain: float) -> Descent:
    """The adjoint's gradient (samples, *shape) at free states psi."""
    outputs, sheet = task.network.outputs, task.network.sheet
    e = output_error(outputs_of(psi, outputs, sheet), task.wanted(), cost, gain)
    return descent(psi, task.V + hidden, sheet, outputs, e, "exact")


def noiseless(loop: Loop, task: Task, hidden: Array) -> Complex:
    """Free states (samples, *shape) as they are."""
    return IdealLoop(loop.sheet, hidden).measure(task.V, task.pumps()).psi


def totals(found: Descent, task: Task) -> tuple[Complex, Complex]:
    """Sums over samples: of V (*shape) and of w (K,)."""
    weights = found.weights(task.X, task.network.spots)
    return np.asarray(found.V.sum(axis=0)), np.asarray(weights.sum(axis=0))
