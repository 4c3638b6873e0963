"""`prbm.local-fields`: local fields measured by light against their exact values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Figure, Recorder
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters, ideal_table
from protocols.prbm.light.sampling import Agreement, check_temperature
from protocols.prbm.light.table import TABLE_ROLES, table_on
from protocols.prbm.model import RBM, numbers, read_json
from simulators.physics.rbm import local_fields, probability_up

KEYS = ("W", "a", "b", "v", "T", "levels")
PUBLISHED_RMS = 0.1


class Case:
    """One layer pair and the visible spins it is measured for."""

    def __init__(self, rbm: RBM, v: NDArray[np.int8], temperature: float, levels: int | None, given: bool) -> None:
        self.rbm = rbm
        self.v = v
        self.temperature = temperature
        self.levels = levels
        self.given = given
        """Whether the file says how many gray levels; otherwise the table's are used."""

    @classmethod
    def random(cls, n: int, spread: float, levels: int | None, seed: int) -> Case:
        """N x N Gaussian couplings without fields and random spins."""
        rng = np.random.default_rng(seed)
        weights = rng.normal(0.0, spread, (n, n))
        spins = rng.choice(np.array([-1, 1], np.int8), n)
        return cls(RBM(weights, np.zeros(n), np.zeros(n)), spins, 1.0, levels, given=False)

    @classmethod
    def read(cls, path: Path, levels: int | None) -> Case:
        """From a JSON file with keys W, v and, if wanted, a, b, T, levels. ConfigurationError says what is wrong.

        ``levels`` are those of the table, for a file that does not say.
        """
        data = read_json(path, KEYS)
        rbm = RBM.of(str(path), {key: data[key] for key in ("W", "a", "b") if key in data})
        if "v" not in data:
            raise ConfigurationError(f"{path}: key v is missing; allowed: {rbm.n_visible} spins of -1 or 1")
        v = numbers(str(path), "v", data["v"])
        if v.shape != (rbm.n_visible,) or not np.isin(v, (-1, 1)).all():
            raise ConfigurationError(f"{path}: key v: allowed: {rbm.n_visible} spins of -1 or 1, as many as rows of W")
        given_t = numbers(str(path), "T", data.get("T", 1.0))
        if given_t.shape != ():
            raise ConfigurationError(f"{path}: key T: shape {given_t.shape}; allowed: one positive number")
        temperature = float(given_t)
        check_temperature(temperature)
        found = data.get("levels", levels)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int) or not 2 <= found <= 65536):
            raise ConfigurationError(f"{path}: key levels: {found!r}; allowed: null or a whole number of 2 to 65536")
        with np.errstate(over="ignore"):
            if not np.isfinite(local_fields(rbm.weights, v, rbm.hidden_bias)).all():
                raise ConfigurationError(
                    f"{path}: key W: the local fields exceed the largest number; scale W and b down"
                )
        return cls(rbm, v.astype(np.int8), temperature, found, given="levels" in data)


class LocalFieldsParameters(ReadoutParameters):
    """What is measured and how."""

    case: Path | None = Field(None, description="JSON file with W, a, b, v, T, levels")
    noise: Literal["on", "off"] = Field("on", description="off: the ideal table of the equations")
    N: int = Field(
        196, ge=1, le=958, description="spins of each layer, without a case; wide layers suffer from the slit's width"
    )
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings, without a case")
    case_seed: int = Field(0, ge=0, description="which random couplings and spins, without a case")
    repeats: int = Field(1, ge=1, le=10000, description="measurements from which sigma_measured is taken")


class LocalFields(Figure):
    """Measured against exact local fields of one layer (Eq. 2), with the predicted noise.

    Values: wmax, L_exact, L_measured, p = P(h_j = 1), i1 and i2 (intensities normalised by I_0, all spins and
    couplings 1), r, slope (least-squares line of measured on exact), rms (units of L), sigma_predicted (noise of
    L), sigma_measured (over ``repeats``, after the first two), and the exposure.
    """

    Parameters = LocalFieldsParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: LocalFieldsParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table; a case may ask for other gray levels."""
        overrides = ideal_table() if parameters.noise == "off" else {}
        if parameters.case is not None:
            case = Case.read(parameters.case, None)
            if case.given:
                overrides["world.slm.levels"] = case.levels
        return overrides

    def targets(self, parameters: LocalFieldsParameters) -> dict[str, dict[str, float]] | None:
        """The promise for the default table; none for other cases, tables or read-outs."""
        if parameters == LocalFieldsParameters():
            return {"rms": {"max": PUBLISHED_RMS}, "r": {"min": 0.99}, "slope": {"min": 0.95, "max": 1.05}}
        return None

    def run(self, bench: Bench, parameters: LocalFieldsParameters, record: Recorder) -> dict[str, Any]:
        """Measure one layer, ``repeats`` times."""
        p = parameters
        levels = bench.slm.levels or None
        case = Case.read(p.case, levels) if p.case else Case.random(p.N, p.sd, levels, p.case_seed)
        if p.noise == "off":
            p = p.on_ideal_table(case.rbm.n_visible)
        rbm = case.rbm
        layers = rbm_layers(rbm)
        table: Any = table_on(bench, layers, p)  # it measures what it has encoded
        record.console.done(f"reference: {table.reference.unit:.4g} per macro-pixel and second")
        encoding = table.encode(layers["hidden"])
        exact = local_fields(rbm.weights, case.v, rbm.hidden_bias)
        agreement = Agreement()
        # The first two measurements let the exposure settle when there are more to come.
        taken = []
        for step in record.steps(p.repeats + (2 if p.repeats > 1 else 0), "measuring local fields"):
            measurement = table.measure(encoding, case.v)
            taken.append(measurement)
            step.save(fields=measurement.fields, total=measurement.total, pattern_ids=np.array(measurement.pattern_ids))
        kept = taken[2:] if p.repeats > 1 else taken
        measured = kept[0]
        agreement.add(exact, measured.fields)
        unity = rbm.n_hidden * (rbm.n_visible + 2.0) ** 2
        values: dict[str, Any] = {
            "wmax": encoding.wmax,
            "L_exact": exact,
            "L_measured": measured.fields,
            "p": probability_up(measured.fields, case.temperature),
            "i1": measured.total / unity,
            "i2": (measured.total - measured.contrasts) / unity,
            "r": agreement.r,
            "slope": agreement.slope,
            "rms": agreement.rms,
            "exposure_s": measured.exposure_s,
        }
        if p.readout == "camera" and p.noise == "on":
            values["electrons"] = measured.electrons
            values["sigma_predicted"] = float(np.sqrt((measured.predicted_noise**2).mean()))
        if p.repeats > 1:
            values["sigma_measured"] = float(np.sqrt(np.var([m.fields for m in kept], axis=0, ddof=1).mean()))
        self.flips = p.flips
        return values

    def conclude(self, results: dict[str, Any], parameters: LocalFieldsParameters, record: Recorder) -> dict[str, Any]:
        """Draw."""
        _draw(record.picture("fields"), results["L_exact"], results["L_measured"], results, self.flips)
        record.console.done(f"r = {results['r']:.4f}, slope = {results['slope']:.4f}, rms error {results['rms']:.3g}")
        record.console.say(f"picture: {record.picture('fields')}")
        return results


def _draw(
    path: Path, exact: NDArray[np.float64], measured: NDArray[np.float64], values: dict[str, Any], flips: str
) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(8, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        span = [min(exact.min(), measured.min()), max(exact.max(), measured.max())]
        left.plot(span, span, color="0.6", linewidth=1, label="equal")
        left.plot(exact, measured, ".", markersize=4, label=f"{len(exact)} spins, {flips} flips")
        left.set(xlabel="exact local field L", ylabel="measured by light")
        left.legend(frameon=False)
        left.set_title(f"r = {values['r']:.5f}, slope = {values['slope']:.4f}")
        right.plot(exact, measured - exact, ".", markersize=4)
        right.axhline(0, color="0.6", linewidth=1)
        if "sigma_predicted" in values:
            for sign in (-1, 1):
                right.axhline(sign * values["sigma_predicted"], color="tab:red", linewidth=1, linestyle="--")
            right.plot([], [], color="tab:red", linestyle="--", label="predicted noise, ±1 sigma")
            right.legend(frameon=False)
        right.set(xlabel="exact local field L", ylabel="error of L")
        right.set_title(f"rms error {values['rms']:.3g}")
        figure.savefig(path, dpi=120)
