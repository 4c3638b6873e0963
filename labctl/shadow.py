"""Whether the rooms beside labctl are really ours: their names are common, and the first on the path wins.

Nothing here imports a room before it is known to be the right one, so this module works when one is shadowed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOMS = ("drivers", "simulators", "protocols", "calibration")


def check_rooms() -> None:
    """Raise ConfigurationError if another package stands in for one of labctl's own. Imports no room.

    Call it before the first import of a room: a shadowed one fails there with a message that explains
    nothing.
    """
    message = shadowed_room()
    if message is not None:
        raise _configuration_error()(message)


def shadowed_room() -> str | None:
    """What is wrong and how to cure it, or None where every room is labctl's own."""
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        found = _location(room)
        if found is None:
            return f'labctl\'s package "{room}" is missing beside {home / "labctl"}; install labctl again'
        if found.parent != home / room:
            return (
                f'the package "{room}" is taken from {found}, which shadows labctl\'s own in {home / room}; '
                "remove or rename it, run from another directory, or install labctl in a fresh environment"
            )
    return None


def _location(room: str) -> Path | None:
    """The file that ``import room`` would execute; a directory for a package without ``__init__.py``."""
    try:
        spec = importlib.util.find_spec(room)
    except (ImportError, ValueError):  # ValueError: already imported by something that left no spec
        return None
    if spec is None:
        return None
    if spec.origin is not None:
        return Path(spec.origin).resolve()
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]).resolve() / "__init__.py" if folders else None


def _configuration_error() -> type[Exception]:
    """The class itself, read from its file when `drivers` is the room that is shadowed."""
    file = Path(__file__).resolve().parent.parent / "drivers" / "errors.py"
    if _location("drivers") == file.with_name("__init__.py"):
        from drivers.errors import ConfigurationError

        return ConfigurationError
    spec = importlib.util.spec_from_file_location("drivers.errors", file)
    if spec is None or spec.loader is None or not file.is_file():
        return RuntimeError
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    error: type[Exception] = module.ConfigurationError
    return error
