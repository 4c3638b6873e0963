"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import completion

BenchOption = Annotated[
    str | None,
    typer.Option(
        "--bench",
        help="Bench file, or the name of a packaged one.",
        show_default="the experiment's own",
        autocompletion=completion.benches,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter, or world.KEY, devices.KEY, bench.KEY. Repeatable."),
]
MoreArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="More parameters, as after --set.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the experiment's own random numbers.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for run files and pictures.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", help="A bench on another machine, by the name given to `labctl keys trust`."),
]
BenchUpArgument = Annotated[
    str | None, typer.Argument(help="Name of a bench that is up.", show_default="the only one that is up")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One line of JSON and no progress.")]
NoiseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--noise", metavar="NAME=SD", help="Standard deviation of single numbers, as steps/frame=3. Repeatable."
    ),
]
