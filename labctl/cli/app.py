"""`labctl`: run protocols and figures, check bench files, serve a bench, see what is up.

Only typer is imported here; each command imports what it needs, so that help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import calibrations, completion, examples, keys, runs, tokens, twin

app = typer.Typer(
    name="labctl",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

BenchOption = Annotated[
    str | None,
    typer.Option(
        "--bench",
        help="Bench file, or the name of a packaged one.",
        show_default="the protocol's own",
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


def _tell_version(asked: bool) -> None:
    if asked:
        from labctl.experiments.environment import release

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


@app.command()
def run(
    protocol: Annotated[
        str, typer.Argument(help="Name of a protocol; an unknown one lists them.", autocompletion=completion.protocols)
    ],
    more: MoreArgument = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Run a protocol, or a calibration routine, on a bench and write a run file."""
    from labctl.cli.experiments import run_protocol

    raise typer.Exit(run_protocol(protocol, bench, [*(set_ or []), *(more or [])], seed, out, json, at))


@app.command()
def figure(
    name: Annotated[str | None, typer.Argument(help="Name of a figure.", autocompletion=completion.figures)] = None,
    more: MoreArgument = None,
    list_: Annotated[bool, typer.Option("--list", help="List the figures.")] = False,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Measure a named, reproducible result; print {"figure", "values", "targets", "ok", "seconds"}.

    Exit status: 0 ok or no target, 1 target missed or the measurement failed, 2 bad input.
    """
    from labctl.cli.experiments import list_figures, run_figure

    if list_:
        raise typer.Exit(list_figures(json))
    if name is None:
        print("labctl figure: give a NAME, or --list", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    raise typer.Exit(run_figure(name, bench, [*(set_ or []), *(more or [])], seed, out, json, at))


@app.command()
def resume(
    run: Annotated[
        str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
    ],
    bench: Annotated[
        str | None,
        typer.Option(
            "--bench", help="Go on on this bench, also if it is not as it was.", show_default="its own, unchanged"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of run files that go by name.")] = Path("runs"),
    anew: Annotated[bool, typer.Option("--anew", help="Forget the checkpoint; begin anew in the same file.")] = False,
    json: JsonOption = False,
    at: AtOption = None,
) -> None:
    """Go on with a run that was interrupted, failed or killed, from its last checkpoint and in the same file.

    Parameters, seed and bench are those of the run. A simulated table in virtual time goes on where it was, time and
    noise included, if the protocol keeps it in its checkpoints; else it begins anew, and that is said.
    """
    from labctl.cli.experiments import resume_run

    raise typer.Exit(resume_run(run, bench, out, anew, json, at))


@app.command()
def repeat(
    run: Annotated[
        str, typer.Argument(metavar="RUNFILE|latest", help="A run file, its name in --out, or the one begun last.")
    ],
    noise: runs.NoiseOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of run files that go by name.")] = Path("runs"),
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder of the new run file.", show_default="that of the run")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a run again, as `labctl runs show` tells and with the bench file it had then, and compare the two.

    The new run is a run of its own. What a calibration routine finds is compared, not kept.

    Exit status: 0 nothing differs by more than stated noise, 1 something does or the measurement failed, 2 bad input.
    """
    from labctl.cli.run_compare import repeat_run

    raise typer.Exit(repeat_run(run, out, into, noise or [], json))


@app.command()
def sweep(
    name: Annotated[
        str | None, typer.Argument(help="Name of a figure or protocol.", autocompletion=completion.experiments)
    ] = None,
    varied: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUES]...", help="0.1,0.2,0.5 or FROM:TO:COUNT or FROM:TO:COUNT:log."),
    ] = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    zip_: Annotated[bool, typer.Option("--zip", help="Values side by side, not each with each.")] = False,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Each point so often, with other seeds.")] = 1,
    seed: SeedOption = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes of this machine.", show_default="one for each processor"),
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask cluster instead: tcp://HOST:8786.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of the results.", show_default="one in sweeps/, by the command")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Go on with this sweep; its command is in it.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also points that failed before.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure a figure or protocol at many parameters, side by side, into one file.

    The same command again, or --resume FILE, measures what is not in the file yet, whatever ended it.

    Exit status: 0 every point is measured, 1 some failed, 2 bad input.
    """
    if (name is None) == (resume is None):
        print("labctl sweep: give a NAME and what to vary, or --resume FILE", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if resume is not None:
        if varied or set_ or bench or zip_ or repeat != 1 or seed or out:
            print("labctl sweep: --resume FILE goes with --workers, --dask, --retry-failed, --json", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2)
        from labctl.cli.sweep import resume_sweep

        raise typer.Exit(resume_sweep(resume, workers, dask, retry_failed, json))
    from labctl.cli.sweep import run_sweep

    given = (name or "", varied or [], bench, set_ or [])
    raise typer.Exit(run_sweep(*given, zip_, repeat, seed, workers, dask, out, retry_failed, json))


@app.command()
def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Smaller settings, within ten minutes on two cores.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the report.", show_default="runs/reproduction, with --quick …-quick"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="A paper or figure. Repeatable.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Processes side by side.", show_default="2, as far as there are processors"
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also figures that failed before.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what would be measured.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure the figures of all papers and write them, beside what was published, into one HTML report and JSON.

    The same command again measures what is not measured yet, whatever ended it; a figure half done is done again.

    Exit status: 0 as published and promised, 1 something is not or was not measured, 2 bad input.
    """
    from labctl.cli.reproduce import list_entries, reproduce_papers

    if list_:
        raise typer.Exit(list_entries(quick, only or []))
    raise typer.Exit(reproduce_papers(quick, out, only or [], workers, retry_failed, json))


@app.command()
def calibrate(
    routines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="A routine; with --check also several.", autocompletion=completion.routines
        ),
    ] = None,
    bench: BenchOption = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    check_: Annotated[
        bool, typer.Option("--check", help="See in seconds whether what is in force still holds; all, or NAMEs.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="All that the bench needs, in order, but what is valid.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --all: also what is still valid.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and keep nothing; with --all, say what would be measured.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="With --all: HTML file to write.", show_default="in --out")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the routines.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a calibration routine on a bench, keep what it finds, and put that in force.

    With --check nothing is calibrated: calibrations that no longer hold are flagged, and refused from then on.

    Exit status: 0 kept and in force, or everything checked holds; 1 a measurement failed and what was in force stays,
    or something does not hold; 2 bad input.
    """
    from labctl.cli.calibrate import calibrate_bench, calibrate_one, check_calibrations, list_routines

    if list_:
        raise typer.Exit(list_routines(json))
    names = routines or []
    if (again or report is not None) and not all_:
        print("labctl calibrate: --again and --report go with --all", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if check_:
        if all_ or dry_run:
            print("labctl calibrate: --check goes without --all and --dry-run", file=sys.stderr)  # noqa: T201
            raise typer.Exit(2)
        raise typer.Exit(check_calibrations(names, bench, set_ or [], seed, out, json))
    if len(names) != (0 if all_ else 1):
        print("labctl calibrate: give the NAME of a routine, or --all, --check or --list", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    if names:
        raise typer.Exit(calibrate_one(names[0], bench, set_ or [], seed, out, dry_run, json))
    raise typer.Exit(calibrate_bench(bench, set_ or [], seed, out, again, dry_run, report, json))


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

    raise typer.Exit(write_stubs(bench, set_ or [], to, kinds))


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
def check(
    file: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    set_: SetOption = None,
) -> None:
    """Check a bench file: every problem with its line, what is wrong and what is allowed."""
    from labctl.cli.bench import check_bench

    raise typer.Exit(check_bench(file, set_ or []))


@app.command()
def up(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    set_: SetOption = None,
) -> None:
    """Serve a bench's devices to other processes until Ctrl-C."""
    from labctl.cli.bench import serve_bench

    raise typer.Exit(serve_bench(bench, set_ or []))


@app.command()
def record(
    bench: Annotated[
        str, typer.Argument(help="Bench file, or the name of a packaged one.", autocompletion=completion.benches)
    ],
    to: Annotated[Path, typer.Option("--to", help="File of the record; there must be none yet.")],
    set_: SetOption = None,
    most: Annotated[
        str | None, typer.Option("--most", metavar="SIZE", help="Size at which the record ends.", show_default="8.6GB")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Record all bus traffic of a bench until Ctrl-C: one that is up, else one that is brought up for it."""
    from labctl.cli.record import record_bench

    raise typer.Exit(record_bench(bench, set_ or [], to, most, json))


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
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Run a bench's emulated instruments alone, and say what leads to them, until Ctrl-C."""
    from labctl.cli.bench import emulate_bench

    raise typer.Exit(emulate_bench(bench, set_ or [], json))


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
    trials: Annotated[int, typer.Option("--trials", min=1, help="Of each row.")] = 1,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")] = 1,
    list_: Annotated[bool, typer.Option("--list", help="List the rows.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write what was found of all rows here.")] = None,
    json: JsonOption = False,
) -> None:
    """Bring faults about on benches of its own, simulated and emulated, and check what comes of each.

    Prints {"rows": [{"fault", "detected_by", "outcome", "worst_s", "bound_s", "ok"}]}. No bench of yours is touched.

    Exit status: 0 every row is ok, 1 some are not, 2 bad input.
    """
    from labctl.cli.ledger import list_rows, run_ledger

    if list_:
        raise typer.Exit(list_rows(json))
    raise typer.Exit(run_ledger(rows or [], sample, seed, trials, workers, report, json))


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


app.add_typer(calibrations.app, name="calibrations")
app.add_typer(keys.app, name="keys")
app.add_typer(runs.app, name="runs")
app.add_typer(tokens.app, name="tokens")
app.add_typer(twin.app, name="twin")
examples.attach(app)


def main() -> None:
    """Entry point of the console script."""
    from labctl.cli.guard import guarded

    sys.exit(guarded(app))
