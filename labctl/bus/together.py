"""Several servers asked at once: one that hangs must not keep the others waiting."""

from __future__ import annotations

import getpass
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from drivers.errors import LabError

T = TypeVar("T")


def together(calls: Mapping[str, Callable[[], T]]) -> dict[str, T | LabError]:
    """Make every call in a thread of its own; by name what it returned, or the LabError it raised.

    Any other error is raised here, once all calls are over.
    """
    results: dict[str, T | LabError] = {}
    faults: list[Exception] = []

    def make(name: str, call: Callable[[], T]) -> None:
        try:
            results[name] = call()
        except LabError as error:
            results[name] = error
        except Exception as error:  # noqa: BLE001 - a result that is missing would look like success
            faults.append(error)

    threads = [threading.Thread(target=make, args=item, daemon=True) for item in calls.items()]
    for thread, item in zip(threads, calls.items(), strict=True):
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads: then one after another
            make(*item)
    for thread in threads:
        if thread.ident is not None:
            thread.join()
    if faults:
        raise faults[0]
    return results


def raise_first(results: Mapping[str, object]) -> None:
    """Raise the first LabError among what `together` gave; none, none."""
    for result in results.values():
        if isinstance(result, LabError):
            raise result


def this_user(reason: str = "") -> str:
    """Who stops a bench, and why."""
    return f"{getpass.getuser()}@{socket.gethostname()}{f' ({reason})' if reason else ''}"
