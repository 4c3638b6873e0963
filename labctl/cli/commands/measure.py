"""Commands that measure: protocols, figures, sweeps, papers, calibration routines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import completion
from labctl.cli.commands.options import (
    AtOption,
    BenchOption,
    JsonOption,
    MoreArgument,
    NoiseOption,
    OutOption,
    SeedOption,
    SetOption,
)

app = typer.Typer(rich_markup_mode=None)


@app.command()
def run(
    protocol: Annotated[
        str, typer.Argument(help="Name of a protocol; an unknown one lists them.", autocompletion=completion.protocols)
    ],
    more: MoreArgument = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Run a protocol, or a calibration routine, on a bench and write a run file."""
    from labctl.cli.experiments import run_protocol

    raise typer.Exit(run_protocol(protocol, bench, [*(set_ or []), *(more or [])], seed, out, json, at))


@app.command()
def figure(
    name: Annotated[str | None, typer.Argument(help="Name of a figure.", autocompletion=completion.figures)] = None,
    more: MoreArgument = None,
    list_: Annotated[bool, typer.Option("--list", help="List the figures.")] = False,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Measure a named, reproducible result; print {"figure", "values", "targets", "ok", "seconds"}.

    Exit status: 0 ok or no target, 1 target missed or the measurement failed, 2 bad input.
    """
    from labctl.cli.experiments import list_figures, run_figure

    if list_:
        raise typer.Exit(list_figures(json))
    if name is None:
        print("labctl figure: give a NAME, or --list", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    raise typer.Exit(run_figure(name, bench, [*(set_ or []), *(more or [])], seed, out, json, at))


@app.command()
def resume(
    run: Annotated[
        str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
    ],
    bench: Annotated[
        str | None,
        typer.Option(
            "--bench", help="Go on on this bench, also if it is not as it was.", show_default="its own, unchanged"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of run files that go by name.")] = Path("runs"),
    anew: Annotated[bool, typer.Option("--anew", help="Forget the checkpoint; begin anew in the same file.")] = False,
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Go on with a run that was interrupted, failed or killed, from its last checkpoint and in the same file.

    Parameters, seed and bench are those of the run. A simulated table in virtual time goes on where it was, time and
    noise included, if the protocol keeps it in its checkpoints; else it begins anew, and that is said.
    """
    from labctl.cli.experiments import resume_run

    raise typer.Exit(resume_run(run, bench, out, anew, json, at))


@app.command()
def repeat(
    run: Annotated[
        str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
    ],
    noise: NoiseOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of run files that go by name.")] = Path("runs"),
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder of the new run file.", show_default="that of the run")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run again, as `labctl runs show` tells and with the bench file it had then, and compare the two.

    The new run is a run of its own. What a calibration routine finds is compared, not kept.

    Exit status: 0 nothing differs by more than stated noise, 1 something does or the measurement failed, 2 bad input.
    """
    from labctl.cli.run_compare import repeat_run

    raise typer.Exit(repeat_run(run, out, into, noise or [], json))


@app.command()
def sweep(
    name: Annotated[
        str | None, typer.Argument(help="Name of a figure or protocol.", autocompletion=completion.experiments)
    ] = None,
    varied: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUES]...", help="0.1,0.2,0.5 or FROM:TO:COUNT or FROM:TO:COUNT:log."),
    ] = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    zip_: Annotated[bool, typer.Option("--zip", help="Values side by side, not each with each.")] = False,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Each point so often, with other seeds.")] = 1,
    seed: SeedOption = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes of this machine.", show_default="one for each processor"),
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask cluster instead: tcp://HOST:8786.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of the results.", show_default="one in sweeps/, by the command")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Go on with this sweep; its command is in it.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also points that failed before.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure a figure or protocol at many parameters, side by side, into one file.

    The same command again, or --resume FILE, measures what is not in the file yet, whatever ended it.

    Exit status: 0 every point is measured, 1 some failed, 2 bad input.
    """
    if (name is None) == (resume is None):
        print("labctl sweep: give a NAME and what to vary, or --resume FILE", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if resume is not None:
        if varied or set_ or bench or zip_ or repeat != 1 or seed or out:
            print("labctl sweep: --resume FILE goes with --workers, --dask, --retry-failed, --json", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2)
        from labctl.cli.sweep import resume_sweep

        raise typer.Exit(resume_sweep(resume, workers, dask, retry_failed, json))
    from labctl.cli.sweep import run_sweep

    given = (name or "", varied or [], bench, set_ or [])
    raise typer.Exit(run_sweep(*given, zip_, repeat, seed, workers, dask, out, retry_failed, json))


@app.command()
def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Smaller settings, within ten minutes on two cores.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the report.", show_default="runs/reproduction, with --quick …-quick"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="A paper or figure. Repeatable.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Processes side by side.", show_default="2, as far as there are processors"
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also figures that failed before.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what would be measured.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure the figures of all papers and write them, beside what was published, into one HTML report and JSON.

    The same command again measures what is not measured yet, whatever ended it; a figure half done is done again.

    Exit status: 0 as published and promised, 1 something is not or was not measured, 2 bad input.
    """
    from labctl.cli.reproduce import list_entries, reproduce_papers

    if list_:
        raise typer.Exit(list_entries(quick, only or []))
    raise typer.Exit(reproduce_papers(quick, out, only or [], workers, retry_failed, json))


@app.command()
def calibrate(
    routines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]... [KEY=VALUE]...",
            help="A routine, with --check also several; and more parameters, as after --set.",
            autocompletion=completion.routines,
        ),
    ] = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    check_: Annotated[
        bool, typer.Option("--check", help="See in seconds whether what is in force still holds; all, or NAMEs.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="All that the bench needs, in order, but what is valid.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --all: also what is still valid.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and keep nothing; with --all, say what would be measured.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="With --all: HTML file to write.", show_default="in --out")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the routines.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a calibration routine on a bench, keep what it finds, and put that in force.

    With --check nothing is calibrated: calibrations that no longer hold are flagged, and refused from then on.

    Exit status: 0 kept and in force, or everything checked holds; 1 a measurement failed and what was in force stays,
    or something does not hold; 2 bad input.
    """
    from labctl.cli.calibrate import calibrate_bench, calibrate_one, check_calibrations, list_routines

    if list_:
        raise typer.Exit(list_routines(json))
    names = [word for word in routines or [] if "=" not in word]
    assignments = [*(set_ or []), *(word for word in routines or [] if "=" in word)]
    if (again or report is not None) and not all_:
        print("labctl calibrate: --again and --report go with --all", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if check_:
        if all_ or dry_run:
            print("labctl calibrate: --check goes without --all and --dry-run", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2)
        raise typer.Exit(check_calibrations(names, bench, assignments, seed, out, json))
    if len(names) != (0 if all_ else 1):
        what = "give the NAME of a routine, or --all, --check or --list"
        if names:
            what = "--all goes without a NAME" if all_ else "one routine at a time; --check takes several"
        print(f"labctl calibrate: {what}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if names:
        raise typer.Exit(calibrate_one(names[0], bench, assignments, seed, out, dry_run, json))
    raise typer.Exit(calibrate_bench(bench, assignments, seed, out, again, dry_run, report, json))
