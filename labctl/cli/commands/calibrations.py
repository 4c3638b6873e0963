"""`labctl calibrations`: look into the store, compare, decide what is in force, carry calibrations elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="calibrations",
    help="Calibrations that were kept: which there are, which are in force, what changed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Store = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of calibrations.", show_default="of --bench, else ./calibrations"),
]
_Bench = Annotated[str | None, typer.Option("--bench", help="Bench file, or the name of a packaged one.")]
_Role = Annotated[str | None, typer.Option("--device", help="Name of a device of the bench.")]
_Kind = Annotated[str | None, typer.Option("--kind", help="What it is, such as dark or slm-camera.")]
_Id = Annotated[str, typer.Argument(help="Id of a calibration; its first digits do.")]
_Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command("list")
def list_(
    bench: _Bench = None,
    role: _Role = None,
    kind: _Kind = None,
    in_force: Annotated[bool, typer.Option("--in-force", help="Only those in force.")] = False,
    store: _Store = None,
    json: _Json = False,
) -> None:
    """List calibrations, newest last; * marks those in force, ! those of them that failed their last check.

    Exit status 1 if a file is damaged.
    """
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.show_list(store, bench, role, kind, in_force, json))


@app.command()
def show(calibration: _Id, bench: _Bench = None, store: _Store = None, json: _Json = False) -> None:
    """Show everything about a calibration but its arrays."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.show(store, bench, calibration, json))


@app.command()
def diff(
    before: _Id,
    after: Annotated[str | None, typer.Argument(help="Another id.", show_default="the one in force instead")] = None,
    bench: _Bench = None,
    store: _Store = None,
    json: _Json = False,
) -> None:
    """Show what changed between two calibrations, in units of their uncertainties; ! marks more than 3 of them."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.diff(store, bench, before, after, json))


@app.command()
def use(
    calibration: Annotated[str | None, typer.Argument(help="Id of a calibration; its first digits do.")] = None,
    none: Annotated[bool, typer.Option("--none", help="None from now on; needs --bench, --device and --kind.")] = False,
    bench: _Bench = None,
    role: _Role = None,
    kind: _Kind = None,
    note: Annotated[str, typer.Option("--note", help="Why; kept in the log.")] = "",
    store: _Store = None,
    json: _Json = False,
) -> None:
    """Put a calibration in force from now on, for the bench and device it was made for unless others are named."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.use(store, bench, calibration, none, role, kind, note, json))


@app.command()
def log(bench: _Bench = None, store: _Store = None, json: _Json = False) -> None:
    """Show who put what in force, and when; and what was found of it by checks."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.show_log(store, bench, json))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Archive to write; it must not exist.")],
    calibrations: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that the store has.")] = False,
    bench: _Bench = None,
    store: _Store = None,
    json: _Json = False,
) -> None:
    """Write calibrations, with all that they stand on, into one file that travels."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.export(store, bench, file, calibrations or [], all_, json))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Archive that `export` wrote.")],
    bench: _Bench = None,
    store: _Store = None,
    json: _Json = False,
) -> None:
    """Check every calibration of an archive and keep them. None is put in force."""
    from labctl.cli import calibration_store as commands

    raise typer.Exit(commands.import_(store, bench, file, json))
