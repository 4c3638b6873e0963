"""The twin of a bench: a bench file whose simulated table gives what the bench's calibrations found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import CalibrationError, ConfigurationError
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bench.write import bench_text
from labctl.store import Calibration, Header, Store


@dataclass(frozen=True)
class Twin:
    """What was fitted (`calibration.twin.fit.TwinFit`), to which calibrations, and the bench file it was written to."""

    bench: str
    path: Path
    calibrations: tuple[Calibration, ...]
    fit: Any
    settings: Mapping[str, object]


def fit_twin(
    bench: str | Path,
    runs: Sequence[str] = (),
    out: Path | None = None,
    assignments: Mapping[str, object] | None = None,
    like: str | Path | None = None,
) -> Twin:
    """Fit the parameters of a world to a bench's calibrations, and write the bench file of the twin.

    runs: run files, or their names, whose calibrations are used; else those in force. like: a bench file with a world,
    for a bench that has none; parameters that the calibrations do not tell are as there. assignments: of that bench
    file. out: the file to write, which must not exist; else ``NAME-twin.toml`` in the working directory.

    Raises ConfigurationError for bad input, CalibrationError if there are no calibrations that tell anything.
    """
    measured = load_bench(bench, {} if like is not None else dict(assignments or {}))
    model_of = load_bench(like, dict(assignments or {})) if like is not None else measured
    if model_of.world_name is None:
        raise ConfigurationError(
            f"bench {model_of.name} has no world to fit; name a bench file that has, with --like: it says which table "
            "it is and what is known of it"
        )
    model = registry.load("labctl.twins", model_of.world_name)(model_of.world_parameters)
    path = out or Path(f"{measured.name}-twin.toml")
    if path.exists():
        raise ConfigurationError(f"--to {path}: the file exists and is kept; choose another name")
    store = Store(measured.calibrations_folder)
    used = _of_runs(store, measured, runs) if runs else _in_force(store, measured)
    found = registry.load("labctl.fits", "twin")(model, used)
    settings: dict[str, object] = model.settings(found.values)
    changes = {"bench.name": f"{measured.name}-twin", **settings}
    text = bench_text(model_of, changes, _heading(measured, used, found))
    _must_be_sound(path, text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}; choose another --to") from None
    return Twin(measured.name, path, used, found, settings)


def _in_force(store: Store, config: BenchConfig) -> tuple[Calibration, ...]:
    found = tuple(store.get(f.use.id) for f in store.all_in_force(config.name))
    if not found:
        raise CalibrationError(
            f"bench {config.name} has no calibrations in force in {store.path}; measure them: `labctl calibrate --all "
            f"--bench {config.path}`, or name the runs that did with --run"
        )
    return found


def _of_runs(store: Store, config: BenchConfig, runs: Sequence[str]) -> tuple[Calibration, ...]:
    """What runs found, the newest of each role and kind."""
    headers = store.list(bench=config.name)
    chosen: dict[tuple[str, str], Header] = {}
    for run in runs:
        own = [r for r in headers if r.run is not None and _is_run(run, r.run.path)]
        if not own:
            known = ", ".join(sorted({Path(r.run.path).stem for r in headers if r.run is not None})) or "none"
            raise ConfigurationError(
                f"--run {run}: no calibration of bench {config.name} in {store.path} was made by it; runs that made "
                f"some: {known}"
            )
        for header in own:
            place = (header.role, header.kind)
            if place not in chosen or header.made > chosen[place].made:
                chosen[place] = header
    return tuple(store.get(header.id) for header in chosen.values())


def _is_run(given: str, path: str) -> bool:
    """Whether a run is meant by its file, or by the file's name with or without its ending."""
    return given in (path, Path(path).name, Path(path).stem) or Path(given).absolute() == Path(path)


def _heading(config: BenchConfig, used: Sequence[Calibration], found: Any) -> str:
    lines = [
        f"The twin of bench {config.name}, by `labctl twin fit` from",
        *(f"  {c.title}" for c in used),
        f"chi^2 = {found.chi2:.4g} with {found.freedom} degrees of freedom. What its values are known to:",
        *(
            f"  {f.key} = {f.value:.6g} +- {f.error:.2g}{f' {f.unit}' if f.unit else ''}"
            f"{'' if f.determined else '   (hardly told by the data)'}"
            for f in found.fitted
        ),
        "Everything else is as in the bench file that it was modelled on, and what a seed draws is not this table's.",
    ]
    return "\n".join(lines)


def _must_be_sound(path: Path, text: str) -> None:
    """Raises ConfigurationError if what would be written is no bench file: the world cannot be so."""
    load_bench(path, {}, (text, ""))
