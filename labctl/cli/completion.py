"""Names that the shell completes: experiments, routines, drivers, benches. Nothing is imported before it is asked."""

from __future__ import annotations

from pathlib import Path


def protocols(incomplete: str) -> list[str]:
    """What `labctl run` takes."""
    return _registered(incomplete, "labctl.protocols", "labctl.calibrations")


def figures(incomplete: str) -> list[str]:
    """What `labctl figure` takes."""
    return _registered(incomplete, "labctl.figures")


def experiments(incomplete: str) -> list[str]:
    """What `labctl sweep` takes."""
    return _registered(incomplete, "labctl.figures", "labctl.protocols")


def routines(incomplete: str) -> list[str]:
    """What `labctl calibrate` takes."""
    return _registered(incomplete, "labctl.calibrations")


def drivers(incomplete: str) -> list[str]:
    """What `labctl conformance` takes."""
    return _registered(incomplete, "labctl.drivers")


def benches(incomplete: str) -> list[str]:
    """Packaged benches, and bench files in the folder that is typed."""
    from labctl.bench.load import packaged_benches

    folder = Path(incomplete).parent
    files = [str(folder / file.name) for file in sorted(folder.glob("*.toml")) if not file.name.endswith(".local.toml")]
    return [name for name in [*packaged_benches(), *files] if name.startswith(incomplete)]


def _registered(incomplete: str, *groups: str) -> list[str]:
    from importlib.metadata import entry_points

    found = {point.name for group in groups for point in entry_points(group=group)}
    return sorted(name for name in found if name.startswith(incomplete))
