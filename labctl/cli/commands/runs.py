"""`labctl runs`: which runs were made, and what each was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.commands.options import NoiseOption

app = typer.Typer(
    name="runs",
    help="Runs that were made: which there are, what each was, how to make it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Out = Annotated[Path, typer.Option("--out", help="Folder of run files.")]
_Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
_Run = Annotated[
    str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
]


@app.command("list")
def list_(
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="Only of this protocol, figure or routine; prbm.* takes all of prbm."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", help="Only complete, running, killed, interrupted, failed, unreadable or foreign ones."
        ),
    ] = None,
    bench: Annotated[str | None, typer.Option("--bench", help="Only on the bench of this name.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only begun then or later: 2026-11-27, or with T09:30.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only begun before that; of a day, up to its end.")
    ] = None,
    last: Annotated[int | None, typer.Option("--last", min=1, help="Only so many, those begun last.")] = None,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """List runs, newest last. A file that cannot be read is listed with the reason."""
    from labctl.cli import run_catalogue as commands

    raise typer.Exit(commands.show_list(out, protocol, status, bench, since, until, last, json))


@app.command()
def show(
    run: _Run,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Show everything about a run but its arrays, and the command that makes it again.

    Exit status 2 if the file is no run file, cut off or spoilt.
    """
    from labctl.cli import run_catalogue as commands

    raise typer.Exit(commands.show(run, out, json))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="RUN", help="A run file, its name in --out, or latest.")],
    b: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    noise: NoiseOption = None,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Compare two runs: which arrays and results are the same bit for bit, within stated noise, or different.

    Noise is stated by a run as NAME_err beside NAME, or by --noise; false alarms 1e-4 for each array or result.

    Exit status: 0 nothing differs by more than noise, 1 something does, 2 bad input.
    """
    from labctl.cli.run_compare import compare_runs

    raise typer.Exit(compare_runs(a, b, out, noise or [], json))


@app.command()
def plot(
    run: _Run,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this, as steps/visible or W. Repeatable.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="PNG file to write.", show_default="RUN-plot.png beside the run")
    ] = None,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Draw what a run saved: numbers as lines over its steps, lists of them as maps, of pictures the last."""
    from labctl.cli.run_files import plot_run

    raise typer.Exit(plot_run(run, out, only or [], to, json))


@app.command()
def report(
    run: _Run,
    to: Annotated[
        Path | None, typer.Option("--to", help="HTML file to write.", show_default="RUN.html beside the run")
    ] = None,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Write a run as one HTML file with its pictures in it, which needs nothing else to be read."""
    from labctl.cli.run_files import report_run

    raise typer.Exit(report_run(run, out, to, json))


@app.command()
def export(
    run: Annotated[
        str | None, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or latest.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="An unknown one lists them.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", hidden=True, help="What --format was called.")] = None,
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder to write to.", show_default="beside the run")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Files that are there already.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the formats.")] = False,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Write a run in another format: bluesky, csv, images, nexus, npz, ome-tiff, or one that a package brings."""
    from labctl.cli.run_files import export_run

    raise typer.Exit(export_run(run, format_ or to, out, into, replace, list_, json))


@app.command()
def prune(
    older: Annotated[
        str | None, typer.Option("--older", metavar="TIME", help="Begun longer ago than this, as '30 days'.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="Complete, killed, interrupted, failed or unreadable ones. Repeatable."),
    ] = None,
    larger: Annotated[
        str | None, typer.Option("--larger", metavar="SIZE", help="With pictures and all larger than this, as 100MB.")
    ] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Only of this protocol.")] = None,
    calibrations: Annotated[
        list[Path] | None,
        typer.Option("--calibrations", metavar="FOLDER", help="Another folder of calibrations to respect. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run/--delete", help="Say what would go, or remove it.")] = True,
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Remove runs that are all of what is asked for, with their pictures and checkpoints; without --delete, tell which.

    A run that is being written stays, and one on which a calibration in force stands, itself or through others.
    """
    from labctl.cli.run_files import prune_runs

    raise typer.Exit(prune_runs(out, older, status or [], larger, protocol, calibrations or [], dry_run, json))
