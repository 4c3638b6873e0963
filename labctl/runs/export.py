"""Runs in other formats: an exporter by its name, its files put in their place all at once."""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter


def formats() -> dict[str, str]:
    """Formats that are installed, and what each is."""
    found = {}
    for name in registry.names("labctl.exporters"):
        doc = inspect.getdoc(registry.load("labctl.exporters", name)) or ""
        found[name] = doc.partition("\n\n")[0].replace("\n", " ")
    return found


def export(run: RunData, form: str, folder: Path | None = None, *, replace: bool = False) -> Exported:
    """Write a run in another format.

    folder: where to, beside the run if None. replace: files that are there already, else ConfigurationError. Raises
    ConfigurationError for an unknown format, a library that is missing, a run with nothing for this format, and a
    folder that cannot be written; then nothing is left behind.
    """
    exporter = registry.load("labctl.exporters", form)()
    if not isinstance(exporter, Exporter):
        raise ConfigurationError(f"{form} is registered under labctl.exporters, but is no Exporter")
    folder = folder or run.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as aside:
            exported = exporter.write(run, Path(aside), run.name)
            if not exported.files:
                why = "; ".join(f"{name}: {reason}" for name, reason in exported.left_out.items())
                raise ConfigurationError(f"{run.name} has nothing to export as {form}{f' ({why})' if why else ''}")
            targets = [folder / path.name for path in exported.files]
            there = [str(target) for target in targets if target.exists()]
            if there and not replace:
                raise ConfigurationError(f"{', '.join(there)} is there already; choose another --into, or --replace it")
            for path, target in zip(exported.files, targets, strict=True):
                if target.is_dir():
                    shutil.rmtree(target)
                os.replace(path, target)
    except OSError as error:
        raise ConfigurationError(f"cannot write in {folder}: {error}; choose another --into") from None
    return Exported(targets, exported.left_out)
