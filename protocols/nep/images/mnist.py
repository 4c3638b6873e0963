"""`nep.mnist`: ten 15x15 cells learn to tell handwritten digits apart (near-equilibrium propagation, Fig. 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Recorder
from protocols.nep.figure import with_picture
from protocols.nep.images.baselines import LINEAR, QUADRATIC, linear, quadratic
from protocols.nep.images.parameters import MnistParameters
from protocols.nep.images.picture import draw_mnist
from protocols.nep.images.trainer import standard_error
from protocols.nep.images.trainings import Curves, Training, Trainings, curves

_PAPER_SIDE = 15
_PROMISED = {"nep": 0.885, "conjugate": 0.92}
_COMPARED = "baselines"


class Mnist(Trainings):
    """Digits on cells behind walls, fed the same image; each digit's answer is the density at its cell's centre.

    Values: `accuracy` on all test images (a fraction; mean of seeds, an image that does not settle is not recognised)
    and `accuracy_err` (of the mean, by the scatter of seeds; of a single seed, by the number of images), `accuracies`;
    `train_accuracy` in the last epoch; `linear`, accuracy of a linear network on the same images, `rank1` and `rank2`,
    of quadratic forms (null with bounds=false); `g_rho_over_gamma`, mean over test images, cells and nodes;
    `unconverged`, share of training images that were left out since a cell did not settle, and `unconverged_test`;
    `confusion`, digits by answers, of all seeds; `epoch_s` and `epoch_cpu_s`, median of training alone; `network`, a
    file of V and w (seeds, cells, nodes).
    """

    Parameters = MnistParameters

    def targets(self, parameters: MnistParameters) -> dict[str, dict[str, float]] | None:
        """Promised for the paper's cells with what was found to work."""
        p, chosen = parameters, {"rule", "seeds", "data", "threads", "watched", "bounds"}
        plain = MnistParameters(**{name: getattr(p, name) for name in chosen})
        if p != plain or p.rule not in _PROMISED:
            return None
        return {"accuracy": {"min": _PROMISED[p.rule]}}

    def trainings(self, parameters: MnistParameters, seed: int) -> list[Training]:
        """One for each seed."""
        p = parameters
        recipe = p.told(p.rule, p.cells, p.train)
        return [Training("digits", p.rule, p.cells, p.train, recipe, seed + k, p.g, p.gamma) for k in range(p.seeds)]

    def prepare(self, parameters: Any, record: Recorder) -> None:
        """Read the images; train what the cells are compared with."""
        super().prepare(parameters, record)
        if record.resumed is not None and record.saved(_COMPARED) is not None:
            return
        found = self.digits(self.all[0], parameters)
        with threadpool_limits(1, user_api="blas"):
            compared = [
                linear(found.train, found.test, record.seed, LINEAR[self.all[0].recipe.encoding]),
                np.nan,
                np.nan,
            ]
            if parameters.bounds:
                fit = QUADRATIC[self.all[0].recipe.encoding]
                compared[1:] = [quadratic(found.train, found.test, rank, record.seed, fit) for rank in (1, 2)]
        record.save(_COMPARED, np.array(compared))

    def conclude(self, results: dict[str, Any], parameters: MnistParameters, record: Recorder) -> dict[str, Any]:
        """Average over seeds, keep the networks, draw."""
        p, found = parameters, self.digits(self.all[0], parameters)
        seen = curves(record, self.all, "digits")
        compared = np.asarray(record.saved(_COMPARED))
        names = ("linear", "rank1", "rank2")
        values = {
            **summary(seen, len(found.test), len(found.train)),
            **{k: None if np.isnan(v) else float(v) for k, v in zip(names, compared, strict=True)},
            "images": len(found.train),
            "test_images": len(found.test),
            "data": found.origin,
        }
        path = record.path.with_name(f"{record.path.stem}-network.npz")
        V = np.stack([np.asarray(record.saved(f"V_digits_{t.seed}")) for t in self.all])
        w = np.stack([np.asarray(record.saved(f"w_digits_{t.seed}")) for t in self.all])
        np.savez(path, V=V, w=w, g=p.g, gamma=p.gamma, gain=self.all[0].recipe.gain)
        values["network"] = str(path)
        record.console.done(
            f"{values['accuracy']:.2%} ± {values['accuracy_err']:.2%} of {len(found.test)} test images, "
            f"linear {values['linear']:.2%}; g<rho>/gamma {values['g_rho_over_gamma']:.3f}, "
            f"{values['unconverged']:.2%} left out"
        )
        title = f"{record.name}: ten {p.cells}x{p.cells} cells, rule {p.rule}, {p.seeds} seeds"
        with_picture(record, "mnist", lambda path: draw_mnist(path, seen, V[0], w[0], values, title))
        return values


def summary(seen: Curves, test_images: int, train_images: int) -> dict[str, Any]:
    """Values of trainings of one name that differ by their seeds."""
    accuracy = seen.last("accuracy")
    return {
        "accuracy": float(accuracy.mean()),
        "accuracy_err": standard_error(accuracy, test_images),
        "accuracies": accuracy.tolist(),
        "train_accuracy": float(seen.last("train_accuracy").mean()),
        "g_rho_over_gamma": float(seen.last("g_rho_over_gamma").mean()),
        "unconverged": float(seen.series["unsettled"].mean()) / train_images,
        "unconverged_test": float(seen.last("test_unsettled").mean()) / test_images,
        "confusion": seen.series["confusion"][:, -1].sum(axis=0).tolist(),
        "epochs": int(seen.series["epoch"].shape[1]),
        "epoch_s": float(np.median(seen.series["seconds"])),
        "epoch_cpu_s": float(np.median(seen.series["cpu_s"])),
    }
