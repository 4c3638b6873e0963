"""`labctl runs`: which runs were made, and what each was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="runs",
    help="Runs that were made: which there are, what each was, how to make it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Out = Annotated[Path, typer.Option("--out", help="Folder of run files.")]
_Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


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
    run: Annotated[
        str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
    ],
    out: _Out = Path("runs"),
    json: _Json = False,
) -> None:
    """Show everything about a run but its arrays, and the command that makes it again.

    Exit status 2 if the file is no run file, cut off or spoilt.
    """
    from labctl.cli import run_catalogue as commands

    raise typer.Exit(commands.show(run, out, json))
