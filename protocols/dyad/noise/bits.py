"""`dyad.bits`: random bits from a lattice of dyads, before it is calibrated and after, and how random they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, CalibrationError, ConfigurationError, Figure, Parameters, Recorder
from protocols.dyad.noise.battery import LEAST_BITS, LEVEL, check_installed, run_battery
from protocols.dyad.noise.bits_findings import away, battery_values, entropy_values, fairness, tell_bits
from protocols.dyad.noise.bits_picture import draw_bits
from protocols.dyad.noise.debias import Method, extract
from protocols.dyad.noise.entropy.estimate import LEAST_BITS as FEWEST_BITS
from protocols.dyad.noise.entropy.estimate import MinEntropy, min_entropy
from protocols.dyad.sensing.fair import make_fair
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, DyadLattice, plan_of
from protocols.dyad.table.reading import compile_kernels

States = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

_FRAMES = 250
"""Of a step."""
_LOOKED = 500
_PERES_KEEPS = 0.94
_LEAST_ENTROPY = 0.75
"""By how much the least of ten estimates is below the entropy, and a little."""
_MOST_BEFORE = 8
"""Times as many frames as raw bits take are spent on debiased bits of an uncalibrated lattice; it is left at that."""
_ENDS = 150
"""Condensations more, as a sequence of some dyad's bits does not come out to its end."""


class BitsParameters(Parameters):
    """How many bits, how they are made fair, and how they are tested."""

    bits: int = Field(LEAST_BITS, ge=FEWEST_BITS, le=10**8, description="that are tested, before and after calibration")
    debias: Method = Field(
        "peres", description="none, von-neumann (keeps a quarter), peres (97 %), toeplitz (as the min-entropy says)"
    )
    fair_within: float = Field(0.15, gt=0, le=0.5, description="of 1/2 must p1 of a dyad be, or it is left out")
    battery: bool = Field(True, description="run NIST's SP 800-22 tests, which take a million bits")
    level: float = Field(LEVEL, gt=1e-9, lt=0.5, description="chance that ideal bits fail the battery")
    precision: float = Field(0.01, gt=0.002, lt=0.3, description="of p1, where no calibration is in force")
    most: int = Field(8000, ge=50, le=10**6, description="condensations of each dyad spent on that")
    debias_before: bool = Field(
        True,
        description="also debias and test bits of the uncalibrated lattice, of which more must be taken",
    )


class Bits(Figure):
    """Hardware random numbers: one bit per dyad and condensation, told from which of its condensates is denser.

    Bits are taken with the pump ratios that a calibration found, or else a search of this run, and with all at 1, as
    an uncalibrated lattice has them. Dyads that could not be made fair, as on a defect of the sample, are left out of
    both. Before bits are used, what is left of the bias is taken out (`debias`). Four sequences are tested: raw and
    debiased bits, before and after calibration.

    Values: dyads, and left_out of them; rate_hz, raw bits a second on the table, and rate_debiased_hz; p1, mean over
    dyads, p1_sd and p1_worst, the spread over dyads and the largest distance from 1/2, each with `_before`; misread,
    the mean probability of a wrong state; yield, debiased bits over raw ones, and yield_before; min_entropy (SP
    800-90B, least of ten estimates) of debiased bits, min_entropy_raw, min_entropy_before, min_entropy_debiased_before,
    with decided_by; raw_z and before_z, how many standard errors of ideal bits the mean of the raw ones is from 1/2;
    battery, for `debiased`, `raw`, `before` and `debiased_before` bits: p_values by test and the tests that failed;
    failed, failed_raw, failed_before, failed_debiased_before, how many of the 15 do. What is of debiased bits before
    calibration is null where an uncalibrated lattice gives too few.
    """

    bench = "dyad-sim"
    Parameters = BitsParameters
    roles = DYAD_ROLES
    keeps_table = True
    alignments = DYAD_ALIGNMENTS

    def targets(self, parameters: Any) -> dict[str, dict[str, float]] | None:
        """After calibration and debiasing bits pass at the level; before calibration they fail. Raw ones have no bound
        after it: dyads that are fair to 0.01 make a mean that is off by 0.001, two standard errors of a million bits.
        Debiased ones have none before it: they are fair whatever the bias is, and fewer."""
        p: BitsParameters = parameters
        if not p.battery or p.debias == "none" or p.level != LEVEL:
            return None
        # Of a million ideal bits the least of ten lower bounds is 0.851, with a standard deviation of 0.024.
        return {"failed": {"max": 0}, "failed_before": {"min": 1}, "min_entropy": {"min": 0.78}}

    def prepare(self, parameters: BitsParameters, record: Recorder) -> None:
        """Refuse what cannot be tested, before anything is measured; compile what reads the lattice."""
        compile_kernels()
        if parameters.battery:
            check_installed()
            if parameters.bits < LEAST_BITS:
                raise ConfigurationError(
                    f"bits: {parameters.bits:,}; the battery takes {LEAST_BITS:,} or more; leave it out with "
                    "--set battery=false"
                )

    def run(self, bench: Bench, parameters: BitsParameters, record: Recorder) -> dict[str, Any]:
        """Make dyads fair and take states; then with all ratios at 1."""
        p = parameters
        lattice = DyadLattice(bench, plan_of(bench), record.rng)
        if (kept := record.resumed) is not None:
            record.when_thawed(lambda: lattice.restore(kept))
        with lattice.light():
            lattice.set_ratios(np.ones(lattice.n))
            unfair = lattice.shots(_LOOKED).states
            record.console.say("making dyads fair" if lattice.balanced is None else "fair by the calibration in force")
            make_fair(lattice, p.precision, p.most, record.rng)
            fair = lattice.ratios
            planned, used = record.saved("steps"), record.saved("used")
            if planned is None or used is None:
                looked = lattice.shots(_LOOKED).states
                used = np.abs(looked.mean(axis=0) - 0.5) < p.fair_within
                planned = np.array([_steps(looked[:, used], p), _steps_before(unfair[:, used], p)])
                record.save("used", used)
                record.save("steps", planned)
            calibrated = int(planned[0])
            for step in record.steps(int(planned.sum()), "taking bits"):
                ratios = fair if step.index < calibrated else np.ones(lattice.n)
                if not np.array_equal(ratios, lattice.ratios):
                    lattice.set_ratios(ratios)
                shots = lattice.shots(_FRAMES)
                step.save(states=shots.states, frame_s=shots.frame_s, misread=float(shots.misread.mean()))
                step.note(f"{'calibrated' if step.index < calibrated else 'ratios at 1'}, p1 {shots.states.mean():.3f}")
                if record.checkpoint_due:
                    record.checkpoint(**lattice.kept())
        return {"dyads": lattice.n, "calibration": lattice.balanced is not None}

    def conclude(self, results: dict[str, Any], parameters: BitsParameters, record: Recorder) -> dict[str, Any]:
        """Debias, estimate, test and draw."""
        p = parameters
        states, times, misread = (record.series(name) for name in ("states", "frame_s", "misread"))
        planned, used = record.saved("steps"), record.saved("used")
        assert states is not None
        assert used is not None
        assert times is not None
        assert misread is not None
        assert planned is not None
        rows = states.reshape(-1, results["dyads"])[:, used]
        raw = {"after": rows[: int(planned[0]) * _FRAMES], "before": rows[int(planned[0]) * _FRAMES :]}
        taken = {name: kept.astype(np.uint8).ravel()[: p.bits] for name, kept in raw.items()}
        found = {name: min_entropy(bits) for name, bits in taken.items()}
        seed = np.random.default_rng([record.seed, 1])
        fair = extract(raw["after"], p.debias, found["after"].value, seed)
        if len(fair) < p.bits:
            raise ConfigurationError(
                f"{len(fair):,} bits came out of debias={p.debias}, and {p.bits:,} are to be tested: the dyads are too "
                "unfair; calibrate them (labctl run dyad.calibrate), or ask for fewer bits"
            )
        sequences = {"debiased": fair[: p.bits], "raw": taken["after"], "before": taken["before"]}
        entropies = {"debiased": min_entropy(sequences["debiased"]), "raw": found["after"], "before": found["before"]}
        fair_before = _debiased_before(raw["before"], found["before"], p, seed)
        if len(fair_before) >= p.bits:
            sequences["debiased_before"] = fair_before[: p.bits]
            entropies["debiased_before"] = min_entropy(sequences["debiased_before"])
        record.save("bits", np.packbits(sequences["debiased"]))
        verdicts = {name: run_battery(bits, p.level) for name, bits in sequences.items()} if p.battery else {}
        rate_hz = rows.shape[1] / float(np.median(times))
        values = {
            **results,
            "frames": len(raw["after"]),
            "left_out": int(np.count_nonzero(~used)),
            "misread": float(misread.mean()),
            **fairness(raw),
            "rate_hz": rate_hz,
            "yield": len(fair) / raw["after"].size,
            "rate_debiased_hz": rate_hz * len(fair) / raw["after"].size,
            "yield_before": len(fair_before) / raw["before"].size if p.debias_before else None,
            "raw_z": away(sequences["raw"]),
            "before_z": away(sequences["before"]),
            "debias": p.debias,
            **entropy_values(entropies),
            **battery_values(verdicts),
        }
        picture = record.picture("bits")
        draw_bits(picture, raw, sequences["debiased"], entropies, verdicts)
        tell_bits(record, values, verdicts)
        record.console.say(f"picture: {picture}")
        return values


def _debiased_before(states: States, found: MinEntropy, p: BitsParameters, rng: np.random.Generator) -> Bytes:
    """Bits that debiasing leaves of an uncalibrated lattice; none where it leaves none, or they are not wanted."""
    if not p.debias_before:
        return np.zeros(0, np.uint8)
    try:
        return extract(states, p.debias, found.value, rng)
    except ConfigurationError:  # hashing finds next to no entropy
        return np.zeros(0, np.uint8)


def _steps(states: States, p: BitsParameters) -> int:
    """How many steps give as many bits as are tested, by some states (frames, n) of the dyads."""
    p1 = np.clip(states.mean(axis=0), 1e-9, 1 - 1e-9)
    entropy = -(p1 * np.log2(p1) + (1 - p1) * np.log2(1 - p1))
    each = {
        "none": float(len(p1)),
        "von-neumann": float((p1 * (1 - p1)).sum()),
        "peres": _PERES_KEEPS * float(entropy.sum()),
        "toeplitz": _LEAST_ENTROPY * float(-np.log2(np.maximum(p1, 1 - p1)).sum()),
    }[p.debias]
    if each < 1:
        raise CalibrationError(
            f"{len(p1)} dyads are fair, too few for a bit a condensation: calibrate them (labctl run dyad.calibrate)"
        )
    return math.ceil((p.bits / each + _ENDS) / _FRAMES)


def _steps_before(states: States, p: BitsParameters) -> int:
    """The same of an uncalibrated lattice: for raw bits, or, within bounds, for debiased ones."""
    raw: int = -(-p.bits // (states.shape[1] * _FRAMES))
    if not p.debias_before:
        return raw
    try:
        return max(raw, min(_steps(states, p), _MOST_BEFORE * raw))
    except CalibrationError:  # no dyad there gives a bit now and then
        return raw
