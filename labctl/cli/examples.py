"""What help says beside a command's own text: examples, exit statuses where that has none, and its line in lists."""

from __future__ import annotations

import inspect

import typer

STATUSES = "Exit status: 0 done, 1 something failed, 2 bad input, 130 interrupted."

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "labctl run prbm.generate --set classes=3,5,8 images=4 --seed 1",
        "labctl run prbm.generate --bench prbm-emulated --set images=1 iterations=2",
        "labctl run prbm.generate --set world.slm.stuck=true",
    ),
    "figure": (
        "labctl figure --list",
        "labctl figure prbm.local-fields --set flips=single",
        "labctl figure dyad.steady-state --json",
    ),
    "resume": ("labctl resume latest", "labctl resume latest --anew"),
    "repeat": ("labctl repeat latest", "labctl repeat latest --noise steps/power_w=2e-6"),
    "sweep": (
        "labctl sweep dyad.phase-diagram gamma=1.8,2.8,3.8 g=0.05:1:125 J=0.05:0.95:100",
        "labctl sweep prbm.local-fields devices.camera.exposure=2:20ms:10 --out exposure.h5",
        "labctl sweep --resume exposure.h5",
    ),
    "reproduce": ("labctl reproduce --quick", "labctl reproduce --quick --only dyad,nep.xor"),
    "calibrate": (
        "labctl calibrate --list",
        "labctl calibrate camera.dark --bench prbm-lab",
        "labctl calibrate --all --bench prbm-lab",
        "labctl calibrate --check --bench prbm-lab",
    ),
    "init": ("labctl init mine.toml", "labctl init mine.toml --like dyad-sim"),
    "stubs": ("labctl stubs mine.toml",),
    "doctor": ("labctl doctor", "labctl doctor --processes --json"),
    "check": ("labctl check mine.toml", "labctl check prbm-sim --set devices.camera.exposure=5ms"),
    "up": ("labctl up mine.toml", "labctl up prbm-sim --set bench.clock=real"),
    "record": ("labctl record mine.toml --to monday.record",),
    "replay": ("labctl replay monday.record",),
    "emulate": ("labctl emulate prbm-emulated",),
    "conformance": ("labctl conformance andor_sdk3", "labctl conformance andor_sdk3 --mutate scale"),
    "ledger": ("labctl ledger --list", "labctl ledger --sample 5 --seed 1"),
    "leco": ("labctl leco prbm-sim --coordinator", "labctl leco prbm-sim --role laser-operator"),
    "page": ("labctl page", "labctl page prbm-sim"),
    "status": ("labctl status", "labctl status --at table --json"),
    "stop": ("labctl stop", 'labctl stop prbm-sim --reason "smoke"'),
    "arm": ("labctl arm --for 8h", "labctl arm drill --device pump"),
    "disarm": ("labctl disarm", "labctl disarm drill --device pump"),
    "ack": ('labctl ack --reason "the filter was missing"', "labctl ack --new-sample"),
    "logs": ("labctl logs prbm-sim --device camera", "labctl logs prbm-sim --follow"),
    "calibrations list": ("labctl calibrations list --bench prbm-lab", "labctl calibrations list --in-force --json"),
    "calibrations show": ("labctl calibrations show 840ef80e",),
    "calibrations diff": ("labctl calibrations diff 840ef80e",),
    "calibrations use": ('labctl calibrations use 840ef80e --note "the new one was taken with the lid open"',),
    "calibrations log": ("labctl calibrations log",),
    "calibrations export": ("labctl calibrations export monday.zip 840ef80e",),
    "calibrations import": ("labctl calibrations import monday.zip",),
    "keys make": ("labctl keys make alice",),
    "keys allow": ("labctl keys allow alice --role operator --key 'KEY OF ALICE'",),
    "keys revoke": ("labctl keys revoke alice",),
    "keys rotate": ("labctl keys rotate alice", "labctl keys rotate alice --finish"),
    "keys trust": ("labctl keys trust table --at tcp://table.lab:5570 --key 'KEY OF SERVER'",),
    "keys list": ("labctl keys list",),
    "runs list": ("labctl runs list --protocol 'prbm.*' --since 2026-11-01", "labctl runs list --status killed"),
    "runs show": ("labctl runs show latest",),
    "runs compare": ("labctl runs compare RUN OTHER",),
    "runs plot": ("labctl runs plot latest --only visible",),
    "runs report": ("labctl runs report latest",),
    "runs export": ("labctl runs export --list", "labctl runs export latest --format nexus"),
    "runs prune": (
        "labctl runs prune --older '30 days' --status failed",
        "labctl runs prune --older '90 days' --delete",
    ),
    "tokens make": ("labctl tokens make alice --role operator",),
    "tokens revoke": ("labctl tokens revoke alice",),
    "tokens list": ("labctl tokens list",),
    "twin fit": ("labctl twin fit --bench prbm-lab --to lab-twin.toml",),
}


def attach(app: typer.Typer, group: str = "") -> None:
    """Give every registered command its end, and its line in lists; those of groups as well."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").rstrip("_").replace("_", "-")
        told = getattr(command.callback, "__doc__", None) or ""
        examples = EXAMPLES.get(f"{group} {name}".strip(), ())
        command.short_help = _first_paragraph(told)
        parts = [] if "Exit status" in told else [STATUSES]
        if examples:
            parts.append("\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)]))
        command.epilog = "\n\n".join(parts)
    for below in app.registered_groups:
        if below.typer_instance is not None:
            below.short_help = _first_paragraph(str(below.typer_instance.info.help or ""))
            attach(below.typer_instance, str(below.name or ""))


def _first_paragraph(told: str) -> str:
    """All of it in lists, which else cut it off in the middle of what a command does."""
    return " ".join(inspect.cleandoc(told).partition("\n\n")[0].split())
