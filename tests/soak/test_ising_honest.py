"""The Ising model by light against exact arithmetic on three sizes, and where their cumulants cross."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.experiments.execute import execute

GIVEN = {"L": (8, 12, 16), "chains": 4, "samples": 2000, "bench.lease": "60 s"}


def ising(tmp_path: Path, seed: int, **given: Any) -> Mapping[str, Any]:
    return execute("labctl.figures", "prbm.ising", assignments={**GIVEN, **given}, seed=seed, out=tmp_path).values


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_light_agrees_with_arithmetic_at_all_temperatures_and_cumulants_cross_where_onsager_says(
    tmp_path: Path,
) -> None:
    """84 comparisons at 4 standard errors: false alarm 5e-3; seeds are fixed."""
    light, arithmetic = ising(tmp_path, 1), ising(tmp_path, 2, sampler="exact")
    for quantity in ("E", "m"):
        a, b = np.array(light[quantity]), np.array(arithmetic[quantity])
        error = np.hypot(light[f"{quantity}_err"], arithmetic[f"{quantity}_err"])
        assert (np.abs(a - b) < 4 * error).all(), quantity
    assert light["deviation"] < 4  # from Kaufman's energies
    assert light["T_c"] == pytest.approx(2.27, abs=0.05)
