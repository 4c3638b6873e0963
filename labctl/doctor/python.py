"""Python, the packages that labctl stands on, its extras, and names that two packages share."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions

from packaging.requirements import InvalidRequirement, Requirement

from labctl.doctor.finding import Finding, Findings
from labctl.shadow import ROOMS, shadowed_room

_OLDEST = (3, 11)


def python() -> Findings:
    """The interpreter, and whether it is in an environment of its own."""
    version = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        yield Finding("python", "version", "broken", version, f"install Python {oldest} or newer, and labctl in it")
    else:
        yield Finding("python", "version", "ok", f"{version}, {platform.platform()}")
    if sys.prefix == sys.base_prefix:
        yield Finding(
            "python", "environment", "note", "the system's own packages", "python3 -m venv .venv, and install in it"
        )
    else:
        yield Finding("python", "environment", "ok", sys.prefix)


def packages() -> Findings:
    """What `labctl` needs always, one by one, then each extra as a whole."""
    try:
        ours = distribution("labctl")
    except PackageNotFoundError:
        yield Finding("packages", "labctl", "broken", "it is not installed", "pip install -e . in its checkout")
        return
    yield Finding("packages", "labctl", "ok", ours.version)
    wanted = list(_requirements(ours))
    for need in (r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})):
        found, wrong = _installed(need)
        cure = f"pip install '{need.name}{need.specifier}'" if wrong else ""
        yield Finding("packages", need.name, "broken" if wrong else "ok", wrong or found, cure)
    for extra in sorted(ours.metadata.get_all("Provides-Extra") or ()):
        needs = [
            r
            for r in wanted
            if r.marker is not None and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})
        ]
        yield _extra(extra, [(need, *_installed(need)) for need in needs])


def shadows() -> Findings:
    """Whether `drivers` and the others are labctl's own: their names are common."""
    shadowed = shadowed_room()
    if shadowed is not None:
        told, _, cure = shadowed.partition("; ")
        yield Finding("packages", "names", "broken", told, cure)
        return
    owners = packages_distributions()
    for room in ROOMS:
        others = sorted({name for name in owners.get(room, ()) if name != "labctl"})
        if others:
            told = f'"{room}" is also installed by {", ".join(others)}; labctl\'s own is found first here'
            yield Finding(
                "packages", "names", "note", told, f"pip uninstall {' '.join(others)}, or another environment"
            )
            return
    yield Finding("packages", "names", "ok", f"{', '.join(ROOMS)} are labctl's own")


def _requirements(ours: Distribution) -> list[Requirement]:
    found = []
    for text in ours.requires or ():
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            continue  # written by a build tool that is newer than `packaging`
    return found


def _installed(need: Requirement) -> tuple[str, str]:
    """Version, and what is wrong with it."""
    try:
        version = distribution(need.name).version
    except PackageNotFoundError:
        return "", "it is not installed"
    if not need.specifier.contains(version, prereleases=True):
        return version, f"{version} is installed, {need.specifier} is needed"
    return version, ""


def _extra(extra: str, needs: list[tuple[Requirement, str, str]]) -> Finding:
    what = f"[{extra}]"
    there = [f"{need.name} {found}" for need, found, wrong in needs if not wrong]
    wrong = [f"{need.name}: {why}" for need, _, why in needs if why]
    if not wrong:
        return Finding("packages", what, "ok", ", ".join(there))
    return Finding("packages", what, "note", "; ".join(wrong), f"if you need it: pip install 'labctl[{extra}]'")
