"""`labctl twin`: a simulated table that gives what a bench's calibrations found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.commands.options import MoreArgument

app = typer.Typer(
    name="twin",
    help="The twin of a bench: a simulated table that gives what its calibrations found.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _twin() -> None:
    """A group, though it has one command yet."""


@app.command()
def fit(
    bench: Annotated[str, typer.Option("--bench", help="Bench file, or the name of a packaged one.")],
    more: MoreArgument = None,
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="A run whose calibrations are used. Repeatable.", show_default="what is in force"),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Bench file to write.", show_default="NAME-twin.toml")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", hidden=True, help="What --to was called.")] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", help="Bench file with the world to fit, for a bench that has none.",
                     show_default="that of --bench"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="world.KEY, devices.KEY, bench.KEY. Repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:  # fmt: skip
    """Fit a world's parameters to a bench's calibrations, write the twin's bench file, and say what does not fit.

    Exit status: 0 everything fits, 1 some value misses the twin's by more than 3 standard uncertainties, 2 bad input.
    """
    from labctl.cli.twin_report import fit_and_tell

    raise typer.Exit(fit_and_tell(bench, run or [], to or out, [*(set_ or []), *(more or [])], like, json))
