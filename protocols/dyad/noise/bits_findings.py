"""What sequences of bits, their entropies and the verdicts on them say, as values of `dyad.bits`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Recorder
from protocols.dyad.noise.battery import Verdict
from protocols.dyad.noise.entropy.estimate import MinEntropy

States = NDArray[np.bool_]

SEQUENCES = ("debiased", "raw", "before", "debiased_before")
"""Values have their names as suffixes, but for the first, which is what the figure is about."""


def away(bits: NDArray[np.uint8]) -> float:
    """Of the mean of bits (n,) from 1/2, in standard errors of ideal ones."""
    return float(2 * bits.sum(dtype=np.int64) - len(bits)) / math.sqrt(len(bits))


def fairness(raw: dict[str, States]) -> dict[str, float]:
    """p1 over the dyads of states (frames, dyads) `after` calibration and `before`."""
    values = {}
    for stage, suffix in (("after", ""), ("before", "_before")):
        p1 = raw[stage].mean(axis=0)
        values[f"p1{suffix}"] = float(p1.mean())
        values[f"p1_sd{suffix}"] = float(p1.std())
        values[f"p1_worst{suffix}"] = float(np.abs(p1 - 0.5).max())
    return values


def entropy_values(found: dict[str, MinEntropy]) -> dict[str, Any]:
    """Min-entropies by sequence; null of those that are missing."""
    values: dict[str, Any] = {}
    for name in SEQUENCES:
        entropy, suffix = found.get(name), "" if name == "debiased" else f"_{name}"
        values[f"min_entropy{suffix}"] = entropy and entropy.value
        values[f"decided_by{suffix}"] = entropy and entropy.decided_by
        values[f"estimates{suffix}"] = entropy and entropy.estimates
    return values


def battery_values(verdicts: dict[str, Verdict]) -> dict[str, Any]:
    """Verdicts by sequence, and how many tests of each failed; null of those that are missing."""
    values: dict[str, Any] = {
        "battery": {
            name: {"p_values": verdict.p_values, "failed": list(verdict.failed), "passed": verdict.passed}
            for name, verdict in verdicts.items()
        }
    }
    for name in SEQUENCES if verdicts else ():
        verdict = verdicts.get(name)
        values["failed" if name == "debiased" else f"failed_{name}"] = len(verdict.failed) if verdict else None
    return values


def tell_bits(record: Recorder, values: dict[str, Any], verdicts: dict[str, Verdict]) -> None:
    """In lines on the console."""
    say = record.console.done
    say(
        f"p1 {values['p1']:.4f}, over dyads ± {values['p1_sd']:.3f} (before calibration {values['p1_before']:.2f} ± "
        f"{values['p1_sd_before']:.2f}); {values['rate_hz']:,.0f} bits a second on the table, "
        f"{values['rate_debiased_hz']:,.0f} after {values['debias']}"
    )
    say(
        f"min-entropy {values['min_entropy']:.3f} bits a bit by {values['decided_by']} (raw "
        f"{values['min_entropy_raw']:.3f}, before calibration {values['min_entropy_before']:.3f})"
    )
    for name, verdict in verdicts.items():
        word = "passed" if verdict.passed else f"{len(verdict.failed)} of {len(verdict.p_values)} tests failed"
        say(f"SP 800-22, {name.replace('_', ' ')}: {word}, least p {verdict.least:.2g}")
