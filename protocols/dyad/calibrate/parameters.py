"""Parameters of a lattice's calibration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labctl.client import Parameters


class CalibrateParameters(Parameters):
    """How the balance is searched, and how it is looked at afterwards."""

    method: Literal["bayes", "sweep"] = Field("bayes", description="the search")
    precision: float = Field(0.015, gt=1e-3, lt=0.2, description="standard deviation of p_1 at which a search ends")
    most: int = Field(40_000, ge=100, description="condensations of each dyad at most")
    batch: int = Field(30, ge=5, le=5000, description="condensations of the first batches, bayes; of each point, sweep")
    patience: float = Field(0.03, ge=0, lt=1, description="share of dyads that need not hold up the others")
    before: int = Field(100, ge=5, description="condensations with all ratios at 1, which the search begins with")
    settle: int = Field(
        12_000, ge=0, description="condensations in windows afterwards, by which ratios follow what drifts; bayes"
    )
    verify: int = Field(2000, ge=100, description="fresh condensations afterwards, in no feedback")
    points: int = Field(16, ge=4, le=200, description="ratios of a sweep")
    reach: float = Field(0.15, gt=0, le=0.5, description="of a sweep, in ln r_gamma either way")
    track: float = Field(0.0, ge=0, description="s of bench time for which p_1 is then kept at one half")
    window: int = Field(400, ge=50, le=100_000, description="condensations in each window of tracking")
    every: float = Field(10.0, gt=0, description="s of bench time from window to window")
