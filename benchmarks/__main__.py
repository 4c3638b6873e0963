"""`python -m benchmarks NAME [--json]`: one JSON array of rows {"name", "median_us", "p99_us", "ratio"}."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path


def _processor() -> str:
    """What Linux says of it; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy: everything here is measured on one core

if "langevin" in sys.argv[1:2] and "avx512f" in _processor():
    # OpenBLAS takes some processors with AVX-512 for Haswell, at half their speed; numpy's has the same.
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")


def main() -> int:
    """Run one benchmark."""
    known = {"bus": "benchmarks.bus", "camera": "benchmarks.camera", "domino": "benchmarks.domino",
             "dyad": "benchmarks.dyad", "interlocks": "benchmarks.interlocks", "langevin": "benchmarks.langevin",
             "nep": "benchmarks.nep", "page": "benchmarks.page", "prbm": "benchmarks.prbm",
             "table": "benchmarks.real_table", "train": "benchmarks.train",
             "wavefront": "benchmarks.wavefront"}  # fmt: skip
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(known))
    parser.add_argument("--json", action="store_true", help="JSON on standard output instead of a table")
    chosen = parser.parse_args()
    rows = importlib.import_module(known[chosen.name]).rows()
    if chosen.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            ratio = "" if row["ratio"] is None else f"{row['ratio']:10.4g}"
            print(f"{row['name']:40} {row['median_us']:14,.0f} us   p99 {row['p99_us']:14,.0f} us   {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
