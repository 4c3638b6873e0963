"""Commands that serve a bench, record it, or show what is up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import completion
from labctl.cli.commands.options import AtOption, BenchUpArgument, JsonOption, MoreArgument, SetOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
def up(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    more: MoreArgument = None,
    set_: SetOption = None,
) -> None:
    """Serve a bench's devices to other processes until Ctrl-C."""
    from labctl.cli.bench import serve_bench

    raise typer.Exit(serve_bench(bench, [*(set_ or []), *(more or [])]))


@app.command()
def record(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    to: Annotated[Path, typer.Option("--to", help="File of the record; there must be none yet.")],
    more: MoreArgument = None,
    set_: SetOption = None,
    most: Annotated[
        str | None, typer.Option("--most", metavar="SIZE", help="Size at which the record ends.", show_default="8.6GB")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Record all bus traffic of a bench until Ctrl-C: one that is up, else one that is brought up for it."""
    from labctl.cli.record import record_bench

    raise typer.Exit(record_bench(bench, [*(set_ or []), *(more or [])], to, most, json))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A record made by `labctl record`.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Bench file to write.", show_default="beside the record")
    ] = None,
    run: Annotated[str, typer.Option("--run", help="Answer the requests of this run.", show_default="any")] = "",
    json: JsonOption = False,
) -> None:
    """Write the bench file that serves a record back, and tell what is in it."""
    from labctl.cli.record import replay_record

    raise typer.Exit(replay_record(file, to, run, json))


@app.command()
def emulate(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    more: MoreArgument = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Run a bench's emulated instruments alone, and say what leads to them, until Ctrl-C."""
    from labctl.cli.bench import emulate_bench

    raise typer.Exit(emulate_bench(bench, [*(set_ or []), *(more or [])], json))


@app.command()
def leco(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    role: Annotated[
        str, typer.Option("--role", help="Of every Director: observer, operator or laser-operator.")
    ] = "observer",
    coordinator: Annotated[
        bool, typer.Option("--coordinator", help="Start a Coordinator as well, on the loopback.")
    ] = False,
    host: Annotated[str, typer.Option("--host", help="Where the Coordinator is.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Its port; 0 with --coordinator: any.")] = 12300,
    prefix: Annotated[str, typer.Option("--prefix", help="Before the names of devices, at the Coordinator.")] = "",
    at: AtOption = None,
) -> None:
    """Show a bench to Directors of LECO (pyleco) until Ctrl-C: one that is up, else one that is brought up for it."""
    from labctl.cli.leco import serve_gateway

    raise typer.Exit(serve_gateway(bench, role, coordinator, host, port, prefix, at))


@app.command()
def page(
    bench: BenchUpArgument = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; without TLS others than 127.0.0.1 only look on.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8470,
    out: Annotated[Path, typer.Option("--out", help="Folder of runs that are shown and made.")] = Path("runs"),
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="HOST", help="Browsers may call it so, too. Repeatable.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", help="Of TLS, PEM; with --key.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private key of the certificate, PEM.")] = None,
    at: AtOption = None,
) -> None:
    """Show a bench that is up in browsers, until Ctrl-C: pictures, lasers, leases, runs, emergency stop.

    Who comes looks on; `labctl tokens make` lets people do more.
    """
    from labctl.cli.page import serve_page

    raise typer.Exit(serve_page(bench, host, port, out, name or [], certificate, key, at))


@app.command()
def status(json: JsonOption = False, at: AtOption = None) -> None:
    """Show the benches that are up: every device, server, lease and heartbeat."""
    from labctl.cli.bench import show_status

    raise typer.Exit(show_status(json, at))


@app.command()
def logs(
    bench: Annotated[str, typer.Argument(help="Name of a bench that is or was up.")],
    device: Annotated[str, typer.Option("--device", help="Only what is about this device.")] = "",
    run: Annotated[str, typer.Option("--run", help="Only what is about this run.")] = "",
    process: Annotated[str, typer.Option("--process", help="Only of this server, or supervisor, world, …")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until Ctrl-C.")] = False,
) -> None:
    """Show the log of all processes of a bench."""
    from labctl.cli.bench import show_logs

    raise typer.Exit(show_logs(bench, device, run, process, json, follow))
