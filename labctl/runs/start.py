"""Protocols, figures and calibrations from a script or notebook, by what the command line uses.

import labctl

run = labctl.run("prbm.generate", classes=(3, 5, 8), images=4)
run.values["r"], run.to_xarray(), run.plot()
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bench.client import Bench
from labctl.experiments import calibrate as calibrating
from labctl.experiments import execute
from labctl.experiments.calibrate import Calibrated
from labctl.experiments.console import Console
from labctl.experiments.execute import Job, Outcome
from labctl.experiments.jupyter import console_here
from labctl.runfile.file import find_run
from labctl.runs.finished import Run


def run(
    name: str,
    /,
    bench: str | Path | Bench | None = None,
    *,
    seed: int = 0,
    out: str | Path = "runs",
    at: str | None = None,
    quiet: bool = False,
    set: Mapping[str, object] | None = None,
    **parameters: object,
) -> Run:
    """Run a protocol, as `labctl run` does, with progress below the cell or in the terminal; the run, once finished.

    bench: a bench file, the name of a packaged one, or a bench that is open (then on it, as it is); the protocol's own
    by default. parameters: the protocol's, and ``set`` for those of the bench, such as ``{"world.seed": 3}``. at: a
    bench on another machine. seed: of the experiment's random numbers. out: folder of run files.

    Raises ConfigurationError for bad input, with everything that is wrong; any LabError of the bench, after which the
    run file has what was measured, and `resume` goes on with it.
    """
    return _start("labctl.protocols", name, bench, seed, out, at, quiet, {**(set or {}), **parameters})


def figure(
    name: str,
    /,
    bench: str | Path | Bench | None = None,
    *,
    seed: int = 0,
    out: str | Path = "runs",
    at: str | None = None,
    quiet: bool = False,
    set: Mapping[str, object] | None = None,
    **parameters: object,
) -> Run:
    """Measure a figure, as `labctl figure` does; arguments and errors as of `run`."""
    return _start("labctl.figures", name, bench, seed, out, at, quiet, {**(set or {}), **parameters})


def resume(run: str | Path, out: str | Path = "runs", *, quiet: bool = False, anew: bool = False) -> Run:
    """Go on with a run that was interrupted, as `labctl resume` does. run: its file, its name in ``out``, "latest"."""
    console = console_here(quiet)
    with _told_how_to_resume(console) as begun:
        return Run(execute.resume(find_run(str(run), Path(out)), None, console, None, begun, anew=anew))


def calibrate(
    name: str,
    /,
    bench: str | Path | None = None,
    *,
    seed: int = 0,
    out: str | Path = "runs",
    quiet: bool = False,
    dry_run: bool = False,
    set: Mapping[str, object] | None = None,
    **parameters: object,
) -> Calibrated:
    """Run a calibration routine, keep what it finds and put it in force, as `labctl calibrate` does.

    dry_run: measure and keep nothing. Other arguments and errors as of `run`.
    """
    given = {**(set or {}), **parameters}
    return calibrating.calibrate(name, bench, given, seed, Path(out), console_here(quiet), dry_run=dry_run)


def _start(
    group: registry.Group,
    name: str,
    bench: str | Path | Bench | None,
    seed: int,
    out: str | Path,
    at: str | None,
    quiet: bool,
    given: Mapping[str, object],
) -> Run:
    console = console_here(quiet)
    with _told_how_to_resume(console) as begun:
        if isinstance(bench, Bench):
            return Run(_on_open_bench(group, name, bench, seed, Path(out), at, given, console, begun))
        return Run(execute.execute(group, name, bench, given, seed, Path(out), console, at, begun))


def _on_open_bench(
    group: registry.Group,
    name: str,
    bench: Bench,
    seed: int,
    out: Path,
    at: str | None,
    given: Mapping[str, object],
    console: Console,
    begun: Callable[[Path], None],
) -> Outcome:
    """On a bench that is open, and stays so; it must be what the experiment asks for."""
    if at is not None:
        raise ConfigurationError(f"at={at!r}: the bench is open already; name its file instead")
    config = bench.config
    of_bench = sorted(key for key in given if key.startswith(execute.BENCH_KEYS))
    if of_bench:
        raise ConfigurationError(f"{', '.join(of_bench)}: bench {config.name} is open already; open it with these")
    job: Job = execute.job_of(
        group, name, config.path, {**config.overrides, **given}, (config.text, config.overlay_text)
    )
    if job.config.fingerprint != config.fingerprint:
        raise ConfigurationError(
            f"{name} with these parameters changes the bench, and {config.name} is open as it is; give bench="
            f"{str(config.path)!r}, and it is opened for the run"
        )
    return execute.perform(job, contextlib.nullcontext(bench), seed, out, console, begun)


@contextlib.contextmanager
def _told_how_to_resume(console: Console) -> Iterator[Callable[[Path], None]]:
    """Where a run ends before it is complete."""
    begun: list[Path] = []
    try:
        yield begun.append
    except (KeyboardInterrupt, LabError):
        if begun and begun[0].with_suffix(".checkpoint").exists():
            console.say(f"to go on from the last checkpoint: labctl.resume({str(begun[0])!r})")
        raise
