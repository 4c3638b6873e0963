"""`labctl`: run protocols and figures, check bench files, serve a bench, see what is up."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from labctl.cli import examples
from labctl.cli.commands import benches, calibrations, keys, measure, runs, safety, serving, tokens, trials, twin

app = typer.Typer(
    name="labctl",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from labctl.environment import release

        print(release())  # noqa: T201
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_tell_version,
            is_eager=True,
            help="Say which labctl this is: its version and, in a checkout, the commit.",
        ),
    ] = False,
) -> None:
    """Laboratory control for optical computing: the same experiment on simulated and real tables."""


for group in (measure, benches, serving, safety, trials):
    app.add_typer(group.app)
app.add_typer(calibrations.app, name="calibrations")
app.add_typer(keys.app, name="keys")
app.add_typer(runs.app, name="runs")
app.add_typer(tokens.app, name="tokens")
app.add_typer(twin.app, name="twin")
examples.attach(app)


def main() -> None:
    """Entry point of the console script."""
    from labctl.guard import guarded

    sys.exit(guarded(app))
