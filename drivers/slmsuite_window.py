"""slmsuite's windows on X11: opened on the server that is asked for, survived when it dies, one SLM per screen.

Whoever opens a window of slmsuite needs this, by whatever class it is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from drivers.contract import ConfigurationError, DeviceError
from drivers.x11 import Access, Display, Survivor, X11Error, libraries

_OWN_S = 2.0


# --- one SLM per screen -----------------------------------------------------------------------------------------------


class ScreenLock:
    """That no second program of ours writes to the same screen: a locked file per X11 server and screen."""

    def __init__(self, device: str, x_display: str, number: int) -> None:
        """Raises DeviceError, naming the process that has it, if the screen is taken."""
        server = re.sub(r"\.\d+$", "", x_display.removeprefix("localhost").removeprefix("unix"))
        key = re.sub(r"[^\w.-]+", "_", f"{server or sys.platform}-{number}")
        # Where the servers' own sockets are, whatever each program takes for its temporary folder.
        path = Path("/tmp" if os.name == "posix" else tempfile.gettempdir(), f"labctl-slm{key}.lock")
        self._file: int | None = None
        self.why_not = ""
        try:
            found = _open_shared(path)
        except OSError as error:
            self.why_not = f"{path} cannot be opened: {error}"
            return
        # A window of our own that is still being closed (the server did not answer) is waited for.
        deadline = time.monotonic() + _OWN_S
        while not _locked(found):
            holder = os.pread(found, 32, 1).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            if holder != str(os.getpid()) or time.monotonic() > deadline:
                os.close(found)
                raise DeviceError(
                    f"{device}: screen {number} of {x_display or 'this computer'} is in use as an SLM"
                    + (f" by process {holder}" if holder else "")
                    + ". End that program, or name another screen in the bench file"
                )
            time.sleep(0.05)
        self._file = found
        with contextlib.suppress(OSError):
            os.ftruncate(found, 0)
            os.write(found, f" {os.getpid()}\n".encode())

    @property
    def held(self) -> bool:
        """Whether the screen is ours."""
        return self._file is not None

    def release(self) -> None:
        """Give the screen up. The file stays: one that is removed could be locked twice."""
        found, self._file = self._file, None
        if found is not None:
            os.close(found)


def _open_shared(path: Path) -> int:
    """A file that all users may lock, and none may put a link in the place of."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags)  # not to be created where others made it: a sticky folder refuses that
    except FileNotFoundError:
        found = os.open(path, flags | os.O_CREAT, 0o666)
        if hasattr(os, "fchmod"):
            os.fchmod(found, 0o666)
        return found


if sys.platform == "win32":
    import msvcrt

    def _lock(found: int) -> None:
        msvcrt.locking(found, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(found: int) -> None:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(found: int) -> bool:
    try:
        _lock(found)
    except OSError:
        return False
    return True


# --- pyglet -----------------------------------------------------------------------------------------------------------

# slmsuite opens its window on whatever X11 server pyglet knows, which is one for the life of a process and the one the
# environment names. Here it is the one of the bench file, and another after that has died.

_pyglet_lock = threading.RLock()
_servers: dict[str, tuple[Any, Survivor]] = {}
_dead: list[tuple[Any, Survivor]] = []


@contextlib.contextmanager
def pyglet_display(device: str, access: Access) -> Any:
    """While this lasts, pyglet's display is the wanted X11 server (elsewhere than on X11: the desktop)."""
    with _pyglet_lock:
        try:
            # A hidden window would be opened on import, on the server the environment names.
            importlib.import_module("pyglet").options["shadow_window"] = False
            display_module = importlib.import_module("pyglet.display")
        except ImportError as error:
            raise ConfigurationError(
                f"{device}: pyglet cannot be used ({error}); install it: pip install 'labctl[hardware]', and on Debian "
                "apt install libgl1 libgl1-mesa-dri libxrandr2"
            ) from error
        if sys.platform.startswith("linux"):
            libraries()  # first, as it makes Xlib safe for threads
            ours = _server(display_module, access)
            for other in list(display_module._displays):
                if other is not ours:
                    display_module._displays.discard(other)
            display_module._displays.add(ours)
        yield


def _server(display_module: Any, access: Access) -> Any:
    """pyglet's connection to the server; made once, since pyglet never closes one."""
    if access.name in _servers:
        display, survivor = _servers[access.name]
        if _lives(display, survivor):
            return display
        _dead.append(_servers.pop(access.name))  # kept: what pyglet still does with it must come to no harm
    try:
        display = access.connect(lambda name: display_module.Display(name or None))
    except display_module.xlib.NoSuchDisplayException as error:
        raise X11Error(f"no X11 server answers at {access.name!r}, or it refuses us") from error
    survivor = Survivor(_pointer(display))
    _servers[access.name] = (display, survivor)
    return display


def _pointer(display: Any) -> int:
    return ctypes.cast(display._display, ctypes.c_void_p).value or 0


def _lives(display: Any, survivor: Survivor) -> bool:
    if not survivor.lost:
        libraries().x.XSync(_pointer(display), 0)
    return not survivor.lost


def other_side(access: Access) -> tuple[Display | None, str]:
    """A connection that sees the screens, or why there is none."""
    try:
        libraries()
    except X11Error as error:
        return None, str(error)
    side = Display(access)
    if side.behind_wayland():
        side.close()
        return None, "a Wayland compositor draws the screen; what it shows cannot be read"
    return side, ""


def no_hidden_window() -> None:
    """Before a class that may open a window is imported: pyglet, if it is there, must not open one of its own."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pyglet").options["shadow_window"] = False


def is_window(slm_class: type) -> bool:
    """Whether a class of slmsuite opens a window: `ScreenMirrored` or one that is built on it."""
    module = sys.modules.get("slmsuite.hardware.slms.screenmirrored")
    return module is not None and issubclass(slm_class, module.ScreenMirrored)


def window_lives(slm: Any) -> bool:
    """Whether the server that slmsuite's window is on still answers; Xlib does not tell those who draw."""
    return not any(
        slm.window.display is display and not _lives(display, survivor)
        for display, survivor in [*_servers.values(), *_dead]
    )


def close_window(slm: Any) -> None:
    """Close slmsuite's window, on a server that may have died."""
    if slm.window is not None and not window_lives(slm):
        slm.window._context = None  # pyglet then leaves the window alone, which has gone with the server
    slm.close()
