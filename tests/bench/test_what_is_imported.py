"""To read a bench file is to import what it names: each process of a bench does, before it is of use to anybody."""

from __future__ import annotations

import subprocess
import sys

DEAR = ("numba", "scipy", "pint", "asyncio", "h5py", "matplotlib", "pandas", "xarray", "typer")
"""Each takes as long as a tenth of all else that is imported, and longer: whoever needs it imports it then."""

READS_ALL = """
import sys
from labctl.bench.load import load_bench, packaged_benches
import labctl.client, labctl.server.supervisor, labctl.server.worker
for path in packaged_benches().values():
    load_bench(path)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_no_packaged_bench_file_makes_a_process_import_what_is_dear() -> None:
    done = subprocess.run([sys.executable, "-c", READS_ALL, *DEAR], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
