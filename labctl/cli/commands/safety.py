"""Commands of the safety desk: emergency stop, arming, what was tripped."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli.commands.options import AtOption, BenchUpArgument, JsonOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
def stop(
    bench: Annotated[str | None, typer.Argument(help="Name of a bench.", show_default="every bench")] = None,
    reason: Annotated[str, typer.Option("--reason", help="What the interrupted experiments are told.")] = "",
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Emergency stop: every device safe, now, and nobody in control any more. The bench stays up.

    Exit status: 0 everything is safe, 1 some server did not confirm it, 2 no bench is up.
    """
    from labctl.cli.bench import stop_benches

    raise typer.Exit(stop_benches(bench, at, reason, json))


@app.command()
def arm(
    bench: BenchUpArgument = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="An emitter. Repeatable.", show_default="all of them")
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Disarm after this time, such as 8h or '20 min'.")
    ] = None,
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Let emitters emit that an interlock of the bench wants armed. For laser operators.

    A bench that is started again, and an emergency stop, disarm.
    """
    from labctl.cli.interlocks import arm

    raise typer.Exit(arm(bench, device or [], for_, json, at))


@app.command()
def disarm(
    bench: BenchUpArgument = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="An emitter. Repeatable.", show_default="all of them")
    ] = None,
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Disarm emitters: their light goes off, and stays off until they are armed. Anybody may."""
    from labctl.cli.interlocks import disarm

    raise typer.Exit(disarm(bench, device or [], json, at))


@app.command()
def ack(
    bench: BenchUpArgument = None,
    interlock: Annotated[
        str, typer.Option("--interlock", metavar="NAME", help="Only this one.", show_default="all that are tripped")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="What was found; kept in the log and the run.")] = "",
    new_sample: Annotated[bool, typer.Option("--new-sample", help="Count doses from 0.")] = False,
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Acknowledge tripped interlocks, so that there may be light again. For laser operators.

    Exit status: 0 acknowledged, or none was tripped; 1 the cause of one persists; 2 bad input, or no bench is up.
    """
    from labctl.cli.interlocks import acknowledge

    raise typer.Exit(acknowledge(bench, interlock, reason, new_sample, json, at))
