"""Commands about bench files: to begin one, to check it, to have its types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import completion
from labctl.cli.commands.options import MoreArgument, SetOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Bench file to write; its name without .toml is the bench's.")] = Path(
        "bench.toml"
    ),
    like: Annotated[
        str, typer.Option("--like", metavar="BENCH", help="Bench file, or the name of a packaged one, to begin from.")
    ] = "prbm-sim",
) -> None:
    """Write a bench file with comments on everything that can be in it. Nothing is overwritten, nothing asked."""
    from labctl.cli.init import write_bench

    raise typer.Exit(write_bench(file, like))


@app.command()
def stubs(
    bench: Annotated[
        str | None, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ] = None,
    more: MoreArgument = None,
    set_: SetOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Module to write.", show_default="BENCH_bench.py in this folder")
    ] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="The module labctl.kinds: kinds, without a bench.")] = False,
) -> None:
    """Write a module with the types of a bench's devices, for completion in editors and for mypy.

    `from BENCH_bench import open_bench` then opens that bench with its roles.
    """
    from labctl.cli.stubs import write_stubs

    raise typer.Exit(write_stubs(bench, [*(set_ or []), *(more or [])], to, kinds))


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    more: MoreArgument = None,
    set_: SetOption = None,
) -> None:
    """Check a bench file: every problem with its line, what is wrong and what is allowed."""
    from labctl.cli.bench import check_bench

    raise typer.Exit(check_bench(file, [*(set_ or []), *(more or [])]))
