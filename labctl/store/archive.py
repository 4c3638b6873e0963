"""Calibrations that travel: one zip file, checked as a whole before anything of it is kept."""

from __future__ import annotations

import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterable
from pathlib import Path

from drivers.errors import CalibrationError, ConfigurationError, LabError
from labctl.headroom import READING_BYTES, memory_for
from labctl.store import file
from labctl.store.store import Store

_MANIFEST = "labctl-calibrations.json"
_ID = re.compile(r"[0-9a-f]{64}")
_LARGEST_BYTES = 4 << 30
_TIMES_DECODED = 4
"""How often its bytes fit into the memory in which a calibration is decoded."""


def export(store: Store, ids: Iterable[str], path: str | Path) -> tuple[str, ...]:
    """Write calibrations, and all that they stand on, into the new file ``path``; returns the ids in it.

    Raises ConfigurationError if the file exists or cannot be written, CalibrationError if a calibration is damaged.
    """
    path = Path(path)
    if path.exists():
        raise ConfigurationError(f"{path} exists and is kept; choose another name")
    wanted = _with_parents(store, ids)
    if not wanted:
        raise ConfigurationError(f"nothing to export to {path}; name the ids of calibrations")
    own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(own, "x") as archive:
            archive.writestr(_MANIFEST, json.dumps({"labctl_calibrations": 1, "ids": wanted}))
            for calibration_id in wanted:
                archive.writestr(_member(calibration_id), store.read(calibration_id))
        os.rename(own, path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}; choose another place") from None
    finally:
        own.unlink(missing_ok=True)
    return tuple(wanted)


def import_(store: Store, path: str | Path) -> tuple[str, ...]:
    """Keep every calibration of an archive; returns their ids. None of them is put in force.

    Raises CalibrationError, and keeps nothing, if any of them is not what was exported; ConfigurationError if the file
    is no archive of calibrations.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            ids = _manifest(archive, path)
            for calibration_id in ids:
                data = _read(archive, calibration_id, path)
                with memory_for(READING_BYTES + _TIMES_DECODED * len(data)):
                    file.decode(data, calibration_id, _where(path, calibration_id))
            for calibration_id in ids:
                store.add_file(_read(archive, calibration_id, path), _where(path, calibration_id))
    except LabError:
        raise
    except Exception as error:  # noqa: BLE001 - zip files fail in many ways, and it may be anybody's
        raise ConfigurationError(
            f"{path} cannot be read as an archive of calibrations ({error}); give a file made by `labctl calibrations "
            "export`, and copy it again if it may be incomplete"
        ) from None
    return ids


def _with_parents(store: Store, ids: Iterable[str]) -> list[str]:
    """The calibrations and all they stand on, each once; parents that are not in the store are left out."""
    there = {record.id: record.parents for record in store.list()}
    found: dict[str, None] = {}
    waiting = list(ids)
    while waiting:
        calibration_id = waiting.pop()
        if calibration_id not in found:
            found[calibration_id] = None
            waiting += [parent for parent in there.get(calibration_id, ()) if parent in there]
    return sorted(found)


def _manifest(archive: zipfile.ZipFile, path: str | Path) -> tuple[str, ...]:
    names = set(archive.namelist())
    try:
        ids = json.loads(_whole(archive, _MANIFEST))["ids"]
        sound = all(isinstance(i, str) and _ID.fullmatch(i) for i in ids)
    except Exception:  # noqa: BLE001 - whatever it is, it is none
        ids, sound = [], False
    if not sound:
        raise ConfigurationError(f"{path} is no archive of calibrations; give a file of `labctl calibrations export`")
    ids = list(dict.fromkeys(ids))
    missing = [i[:12] for i in ids if _member(i) not in names]
    if missing:
        raise CalibrationError(f"{path} is incomplete: it lacks {', '.join(missing)}; copy or export it again")
    return tuple(ids)


def _read(archive: zipfile.ZipFile, calibration_id: str, path: str | Path) -> bytes:
    try:
        return _whole(archive, _member(calibration_id))
    except Exception as error:  # noqa: BLE001 - as in `import_`
        raise CalibrationError(
            f"{_where(path, calibration_id)} is not what was exported ({error}); copy or export it again"
        ) from None


def _whole(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member as `export` writes it: not compressed, so that it takes no more memory than it does on the disk."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > member.compress_size:
        raise zipfile.BadZipFile(f"{name} is compressed, {member.file_size} bytes are claimed")
    if member.file_size > _LARGEST_BYTES:
        raise zipfile.BadZipFile(f"{name} claims {member.file_size} bytes; 4 GiB are allowed")
    return archive.read(member)


def _member(calibration_id: str) -> str:
    return f"files/{calibration_id}.h5"


def _where(path: str | Path, calibration_id: str) -> str:
    return f"{path}, calibration {calibration_id[:12]},"
