"""Commands that try things out: this machine, drivers, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import completion
from labctl.cli.commands.options import JsonOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(
    processes: Annotated[
        bool, typer.Option("--processes", help="Also bring up a simulated bench of processes, as `labctl up` does.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look at this machine: Python, packages, screens, ports, folders, memory, clocks; try bus and a simulated bench.

    Each finding that is not as it should be comes with its cure. No instrument is touched.

    Exit status: 0 nothing is broken, 1 something is, 2 bad input.
    """
    from labctl.cli.doctor import examine

    raise typer.Exit(examine(processes, json))


@app.command()
def conformance(
    driver: Annotated[
        str | None,
        typer.Argument(
            help="Name of a driver that has an emulated instrument.",
            show_default="all of them",
            autocompletion=completion.drivers,
        ),
    ] = None,
    mutate: Annotated[
        str | None,
        typer.Option("--mutate", help="Break the instrument underneath: scale, stale, ignore-setpoint, dark or late."),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write what was found of all drivers here.")] = None,
    json: JsonOption = False,
) -> None:
    """Check a driver against the contract, on its simulated and its emulated instrument.

    Exit status: 0 every check passed, 1 some did not (which is what a mutation must lead to), 2 bad input, or a
    mutation without meaning for the instrument.
    """
    from labctl.cli.conformance import check_drivers

    raise typer.Exit(check_drivers(driver, mutate, report, json))


@app.command()
def ledger(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="[FAULT]...", help="Rows by their fault.", show_default="all of them")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many rows, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample, and of the moments of faults.")] = 0,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Of each row, dealt to its benches; at least one on each.")
    ] = 1,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes side by side.", show_default="by the number of processors"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the rows.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write what was found of all rows here.")] = None,
    json: JsonOption = False,
) -> None:
    """Bring faults about on benches of its own, simulated and emulated, and check what comes of each.

    Prints {"rows": [{"fault", "detected_by", "outcome", "worst_s", "bound_s", "ok"}]}. No bench of yours is touched.

    Exit status: 0 every row is ok, 1 some are not, 2 bad input.
    """
    from labctl.cli.ledger import list_rows, run_ledger
    from labctl.ledger.run import at_once

    if list_:
        raise typer.Exit(list_rows(json))
    raise typer.Exit(run_ledger(rows or [], sample, seed, trials, workers or at_once(), report, json))
