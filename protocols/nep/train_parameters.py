"""What `nep.train` and `nep.infer` may be told: samples, what is trained, and by which recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from labctl.client import ConfigurationError, Parameters
from protocols.nep.learning import Recipe, Trained
from protocols.nep.network import SheetParameters, Task, TaskParameters
from protocols.nep.numbers import Numbers
from protocols.nep.phases import NudgeParameters
from simulators.physics.sheet.equation import Array, Complex

_MOST_SAMPLES = 100_000


class DataParameters(Parameters):
    """Samples of a file."""

    data: Path | None = Field(
        None, description=".npz with X (samples, inputs), targets (samples, outputs) and, if you like, X_test, "
        "targets_test; null: X and targets as given, or XOR's"
    )  # fmt: skip


class TrainParameters(TaskParameters, NudgeParameters, DataParameters):
    """A network, its samples and its recipe."""

    w: Numbers | None = Field(  # type: ignore[assignment]
        None, description="weights to begin with; null: 1.1,-0.9 of two inputs, else drawn, normal with w_spread"
    )
    w_spread: float = Field(0.2, ge=0, le=100, allow_inf_nan=False)
    epochs: int = Field(50, ge=1, le=10**6)
    trained_V: Trained = Field("real", description="parts of the potential that learn")
    trained_w: Trained = Field("real", description="parts of the weights that learn")
    rule: Literal["nep", "conjugate"] = Field("nep", description="the paper's nudge, or the phase-conjugate one")
    optimiser: Literal["sgd", "adam"] = Field("sgd")
    rate_V: float = Field(0.1, gt=0, le=1e3, allow_inf_nan=False)
    rate_w: float = Field(0.1, gt=0, le=1e3, allow_inf_nan=False)
    decay: float = Field(1.0, gt=0, le=1, description="of both rates, from epoch to epoch")
    update: Literal["sample", "batch", "epoch"] = Field("epoch", description="after what there is an update")
    batch: int = Field(10, ge=1, le=10**6, description="samples of an update, for update=batch")
    reduction: Literal["mean", "sum"] = Field("mean", description="over the samples of an update")
    V_min: float | None = Field(None, allow_inf_nan=False, description="what the potential is kept above")
    V_max: float | None = Field(None, allow_inf_nan=False, description="what the potential is kept below")
    gain_share: float = Field(0.8, ge=0, lt=1, description="of the loss: what Im V, gain, is kept below if it learns")

    def recipe(self) -> Recipe:
        """Raises ConfigurationError for parts that do not fit together."""
        low = -np.inf if self.V_min is None else self.V_min
        high = np.inf if self.V_max is None else self.V_max
        if not low < high:
            raise ConfigurationError(f"V_min={low:g} is not below V_max={high:g}")
        if self.trained_V == "off" and self.trained_w == "off":
            raise ConfigurationError("trained_V and trained_w are off: nothing would learn")
        return Recipe(
            self.trained_V, self.trained_w, self.optimiser, self.rate_V, self.rate_w, self.decay, self.update,
            self.batch, self.reduction, low, high, self.gain_share * min(float(x.real) for x in self.gamma),
        )  # fmt: skip

    def learnt_task(self, samples: Samples | None, rng: np.random.Generator) -> Task:
        """The network at its start, with a file's samples where there are some. rng: of weights that are drawn."""
        w = self.w
        if w is None:
            inputs = len(self.inputs)
            drawn = (1.1, -0.9) if inputs == 2 else tuple(float(x) for x in self.w_spread * rng.standard_normal(inputs))
            w = drawn
        changes: dict[str, Any] = {"w": w}
        if samples is not None:
            if self.X is not None or self.targets is not None:
                raise ConfigurationError("data and X, targets: give one of them")
            changes |= {"X": tuple(samples.X.ravel().tolist()), "targets": tuple(samples.targets.ravel().tolist())}
        return self.model_copy(update=changes).with_inputs().task()


class Samples:
    """X (samples, K), targets (samples, n) of a file, and those of a test or None."""

    def __init__(self, path: Path, inputs: int, outputs: int) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise ConfigurationError(f"{path} cannot be read as .npz: {error}") from None
        self.X, self.targets = _pair(path, arrays, "X", "targets", inputs, outputs)
        self.test: tuple[Complex, Array] | None = None
        if "X_test" in arrays:
            self.test = _pair(path, arrays, "X_test", "targets_test", inputs, outputs)


def _pair(
    path: Path, arrays: dict[str, Any], X_name: str, targets_name: str, inputs: int, outputs: int
) -> tuple[Complex, Array]:
    missing = [name for name in (X_name, targets_name) if name not in arrays]
    if missing:
        raise ConfigurationError(f"{path} has no {' and no '.join(missing)}; it has {', '.join(sorted(arrays))}")
    X, targets = (np.asarray(arrays[name]) for name in (X_name, targets_name))
    targets = targets[:, None] if targets.ndim == 1 else targets
    for name, x, columns, what in ((X_name, X, inputs, "inputs"), (targets_name, targets, outputs, "outputs")):
        if x.ndim != 2 or x.shape[1] != columns or not 1 <= len(x) <= _MOST_SAMPLES:
            raise ConfigurationError(f"{path}: {name} has the shape {x.shape}; needed: (samples, {columns}), {what}")
        if not np.issubdtype(x.dtype, np.number) or not np.isfinite(x).all():
            raise ConfigurationError(f"{path}: {name} holds numbers that are none or infinite")
    if len(X) != len(targets):
        raise ConfigurationError(f"{path}: {len(X)} samples of {X_name}, {len(targets)} of {targets_name}")
    return X.astype(np.complex128), targets.astype(np.float64)


_KEPT = tuple(name for name in SheetParameters.model_fields if name not in ("disorder", "disorder_seed"))


def save_model(path: Path, p: TaskParameters, w: Complex, V: Complex) -> None:
    """A trained network, with the sheet that it is of."""
    about = {name: value for name, value in p.model_dump(mode="json").items() if name in (*_KEPT, "cost", "gain")}
    np.savez(path, w=w, V=V, about=np.array(json.dumps(about)))


def read_model(path: Path) -> tuple[dict[str, Any], Complex, Complex]:
    """Parameters of the sheet, w and V. Raises ConfigurationError for a file that is none, or has no finite numbers."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about, w, V = json.loads(str(file["about"])), np.asarray(file["w"]), np.asarray(file["V"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ConfigurationError(f"{path} is no model of nep.train: {error}") from None
    for name, x in (("w", w), ("V", V)):
        if not np.isfinite(x).all():
            raise ConfigurationError(f"{path}: {name} holds {int((~np.isfinite(x)).sum())} numbers that are none")
    return about, w.astype(np.complex128), V.astype(np.complex128)
