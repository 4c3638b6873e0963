"""A bench of the benchmark's own instruments, served by `labctl up` as any bench is: each server a process.

The instruments register by entry points, as those of a third party do, from a folder of their own.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.devices import Mark

_ROOT = Path(__file__).resolve().parents[1]
_START_S = 120.0

_ENTRY_POINTS = """[labctl.drivers]
marked_laser = benchmarks.devices:MarkedLaser
grabber_camera = benchmarks.devices:GrabberCamera
blind_slm = benchmarks.devices:BlindSLM
"""

_BENCH = """
[bench]
name = "{name}"
clock = "real"
lease = "{lease_s} s"

[devices.laser]
kind = "pump"
backend = "real"
driver = "marked_laser"
mark = "{mark}"

[devices.spare]
kind = "pump"
backend = "real"
driver = "marked_laser"

[devices.camera]
kind = "camera"
backend = "real"
driver = "grabber_camera"

[devices.own_buffers]
kind = "camera"
backend = "real"
driver = "grabber_camera"
in_place = false

[devices.slm]
kind = "slm"
backend = "real"
driver = "blind_slm"

{servers}
{network}
"""

_SERVERS = """[servers.light]
devices = ["laser", "spare"]
[servers.camera]
devices = ["camera", "own_buffers"]
[servers.slm]
devices = ["slm"]
"""

_VARIABLES = ("LABCTL_RUNTIME", "LABCTL_LOGS", "LABCTL_KEYS", "PYTHONPATH")


@dataclass
class Table:
    """A bench that can be served. bench_file: for `labctl up` and `open_bench`. mark: the laser's."""

    folder: Path
    bench_file: Path
    name: str
    mark: Mark
    process: subprocess.Popen[str] | None = None

    def up(self) -> None:
        """Serve it. RuntimeError, with what it said, if it does not come up."""
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labctl", "up", str(self.bench_file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=_ROOT,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_S)
        said = self.process.stdout.readline() if ready else ""
        if "is up" not in said:
            self.down()
            errors = (self.folder / "stderr").read_text(errors="replace")
            raise RuntimeError(f"bench {self.name} did not come up: {errors[-2000:]}")

    def down(self) -> None:
        """End it in order."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


@contextlib.contextmanager
def table(
    name: str = "benchmark", lease_s: float = 5.0, network: str = "", *, one_server: bool = False
) -> Iterator[Table]:
    """A bench in folders of its own for sockets, logs and keys, which this process and its children then use.

    network: the bench file's ``[network]`` table, if it has one. one_server: for all devices, instead of three.
    """
    folder = Path(tempfile.mkdtemp(prefix="labctl-b-"))  # short: sockets' paths may have 107 bytes
    before = {variable: os.environ.get(variable) for variable in _VARIABLES}
    try:
        registered = folder / "site" / "labctl_benchmark_instruments-1.0.dist-info"
        registered.mkdir(parents=True)
        (registered / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: labctl-benchmark-instruments\nVersion: 1.0\n"
        )
        (registered / "entry_points.txt").write_text(_ENTRY_POINTS)
        (folder / "run").mkdir(mode=0o700)
        paths = [str(registered.parent), str(_ROOT), *filter(None, [before["PYTHONPATH"]])]
        os.environ.update(
            LABCTL_RUNTIME=str(folder / "run"),
            LABCTL_LOGS=str(folder / "logs"),
            LABCTL_KEYS=str(folder / "keys"),
            PYTHONPATH=os.pathsep.join(paths),
        )
        sys.path.insert(0, paths[0])
        _look_again()
        mark = folder / "mark"
        bench_file = folder / f"{name}.toml"
        servers = "" if one_server else _SERVERS
        text = _BENCH.format(name=name, lease_s=lease_s, mark=mark, servers=servers, network=network)
        bench_file.write_text(text)
        made = Table(folder, bench_file, name, Mark(mark))
        try:
            yield made
        finally:
            made.down()
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder / "site"))
        _look_again()
        shutil.rmtree(folder, ignore_errors=True)


def _look_again() -> None:
    # Entry points are looked up once per process.
    from labctl import registry

    registry._registered.cache_clear()
