"""What `labctl twin fit` does and says; the options are in `labctl.cli.commands.twin`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labctl.bench.overrides import parse_assignments
from labctl.experiments.twin import Twin, fit_twin
from labctl.guard import FAILED
from labctl.plain import plain

WORST = 3.0
"""Standard uncertainties by which a value may miss what the twin gives; more does not fit."""


def fit_and_tell(
    bench: str, runs: list[str], out: Path | None, assignments: list[str], like: str | None, as_json: bool
) -> int:
    """Fit, write, tell; 1 if something does not fit."""
    twin = fit_twin(bench, runs, out, parse_assignments(assignments), like)
    if as_json:
        print(json.dumps(plain(_object(twin)), ensure_ascii=False))  # noqa: T201
    else:
        _print(twin)
    return FAILED if any(abs(r.largest) > WORST for r in twin.fit.residuals) else 0


def _object(twin: Twin) -> dict[str, Any]:
    found = twin.fit
    return {
        "bench": twin.bench,
        "file": str(twin.path),
        "calibrations": [c.id for c in twin.calibrations],
        "chi2": found.chi2,
        "freedom": found.freedom,
        "fitted": [
            {"key": f.key, "value": f.value, "uncertainty": f.error, "unit": f.unit or "1", "start": f.start,
             "determined": f.determined, "at_bound": f.at_bound}
            for f in found.fitted
        ],
        "residuals": [
            {"kind": r.kind, "name": r.name, "count": r.count, "rms": r.rms, "largest": r.largest,
             "fits": abs(r.largest) <= WORST}
            for r in found.residuals
        ],
        "untold": list(found.untold),
        "unexplained": [f"{kind}.{name}" for kind, name in found.unexplained],
    }  # fmt: skip


def _print(twin: Twin) -> None:
    found = twin.fit
    width = max(len(f.key) for f in found.fitted)
    lines = [f"fitted to {len(twin.calibrations)} calibrations of bench {twin.bench}:"]
    for f in found.fitted:
        unit = f" {f.unit}" if f.unit else ""
        told = ("" if f.determined else "   hardly told by the data") + ("   AT ITS BOUND" if f.at_bound else "")
        lines.append(f"  {f.key:{width}}  {f.value:.6g} ± {f.error:.2g}{unit}{told}")
    lines.append("what is left of each value, in its standard uncertainties:")
    for r in found.residuals:
        many = f", largest {r.largest:+.1f} of {r.count}" if r.count > 1 else ""
        told = "" if abs(r.largest) <= WORST else "   DOES NOT FIT"
        left = f"{r.rms:.1f} rms" if r.count > 1 else f"{r.largest:+.1f}"
        lines.append(f"  {r.kind}.{r.name}: {left}{many}{told}")
    lines.append(f"chi^2 = {found.chi2:.4g} with {found.freedom} degrees of freedom")
    if found.untold:
        lines.append(f"no calibration tells {', '.join(found.untold)}: as in the bench file")
    if found.unexplained:
        lines.append(f"not explained: {', '.join(f'{kind}.{name}' for kind, name in found.unexplained)}")
    lines.append(f"written: {twin.path}")
    print("\n".join(lines))  # noqa: T201
