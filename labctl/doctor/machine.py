"""What the machine offers: screens, serial ports and the right to open them, memory that processes share, clocks."""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from labctl.bus import segments
from labctl.doctor.finding import Finding, Findings

_ANSWERS_WITHIN_S = 1.0
_ENOUGH_SHARED_BYTES = 256 << 20
"""Rings for frames of 11 MB, as of a large sCMOS camera, and for patterns."""
_SLOW_CLOCKS = ("hpet", "acpi_pm", "pit", "jiffies")
_FINE_CLOCK_S = 1e-6
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex


def displays() -> Findings:
    """Screens of the X11 server, which an SLM may be one of; they are listed only."""
    name = os.environ.get("DISPLAY", "")
    if sys.platform in ("win32", "darwin"):
        yield Finding("displays", "screens", "note", f"not looked at on {sys.platform}", "see the system's settings")
        return
    if not name:
        told = "none: DISPLAY is not set" + (", WAYLAND_DISPLAY is" if os.environ.get("WAYLAND_DISPLAY") else "")
        yield Finding("displays", "screens", "note", told, "for an SLM that is a screen: log in to X11, set DISPLAY=:0")
        return
    # A server that hangs must not hang the doctor.
    told_of: list[Finding] = []
    thread = threading.Thread(target=lambda: told_of.append(_screens(name)), daemon=True)
    thread.start()
    thread.join(_ANSWERS_WITHIN_S)
    late = Finding("displays", "screens", "note", f"{name} does not answer", "see that DISPLAY names a running server")
    yield told_of[0] if told_of else late


def _screens(name: str) -> Finding:
    from drivers.x11 import Access, Display, X11Error

    try:
        display = Display(Access(None, None))
        try:
            found = [f"{s.output} {s.area.width}x{s.area.height}" for s in display.screens()]
            wayland = display.behind_wayland()
        finally:
            display.close()
    except X11Error as error:
        return Finding("displays", "screens", "note", str(error), "see DISPLAY, XAUTHORITY and the packages of X11")
    told = f"{name}: {', '.join(found) or 'no lit screen'}"
    if wayland:
        return Finding("displays", "screens", "note", f"{told}; a Wayland compositor draws them", "log in to X11")
    return Finding("displays", "screens", "ok", told)


def ports() -> Findings:
    """Serial ports and USB instruments, listed without opening any, and whether this user may."""
    names = _serial_ports()
    if not names:
        yield Finding("ports", "serial", "note", "none", "plug the instrument in, or load its adapter's kernel module")
        return
    for name in names:
        if os.name == "nt" or os.access(name, os.R_OK | os.W_OK):
            yield Finding("ports", name, "ok", "may be opened")
        else:
            group = _group_of(name)
            yield Finding("ports", name, "note", f"this user may not open it (group {group})", _joining(group))


def _serial_ports() -> list[str]:
    plugged = sorted(glob.glob("/dev/usbtmc*"))
    try:
        list_ports = import_module("serial.tools.list_ports")
    except ImportError:
        return sorted([*glob.glob("/dev/ttyUSB*"), *glob.glob("/dev/ttyACM*")]) + plugged
    return sorted(port.device for port in list_ports.comports()) + plugged


def _group_of(name: str) -> str:
    import grp

    try:
        gid = os.stat(name).st_gid
        return grp.getgrgid(gid).gr_name
    except OSError:
        return "unknown"
    except KeyError:
        return str(gid)


def _joining(group: str) -> str:
    if group in ("root", "unknown"):
        return "add a udev rule that gives it to a group of yours"
    return f"sudo usermod -aG {group} $USER, then log in anew"


def memory() -> Findings:
    """Whether large arrays can go through memory, and how much of it there is."""
    place = segments.folder()
    free = shutil.disk_usage(place).free
    told = f"{free / 2**20:,.0f} MiB free in {place}"
    if place != Path("/dev/shm"):
        yield Finding(
            "memory", "shared memory", "note", f"{told}, which is no memory: frames take longer", "mount /dev/shm"
        )
    elif free < _ENOUGH_SHARED_BYTES:
        more = "mount -o remount,size=2G /dev/shm; in a container --shm-size=2g"
        yield Finding("memory", "shared memory", "note", f"{told}: frames will be copied, which is slower", more)
    else:
        yield Finding("memory", "shared memory", "ok", told)


def clocks() -> Findings:
    """What times of frames come from, and whether the wall clock is set by somebody."""
    info = time.get_clock_info("monotonic")
    source = _text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    told = f"{info.implementation}{f', {source}' if source else ''}, resolution {info.resolution:.0e} s"
    if source in _SLOW_CLOCKS or info.resolution > _FINE_CLOCK_S:
        yield Finding("clock", "monotonic", "note", f"{told}: slow or coarse", "see `dmesg` for why tsc is not used")
    else:
        yield Finding("clock", "monotonic", "ok", told)
    synchronised = _synchronised()
    utc = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    if synchronised is None:
        yield Finding("clock", "UTC", "note", f"{utc}; who sets it is not known here", "see the system's settings")
    elif synchronised:
        yield Finding("clock", "UTC", "ok", f"{utc}, kept by a time server")
    else:
        told = f"{utc}, kept by nobody: times in run files may be wrong"
        yield Finding("clock", "UTC", "note", told, "sudo timedatectl set-ntp true, or chrony")


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _synchronised() -> bool | None:
    """Whether the kernel says that its clock is disciplined; nothing is set."""
    if not sys.platform.startswith("linux"):
        return None
    look: Any = getattr(ctypes.CDLL(None), "adjtimex", None)
    if look is None:
        return None
    asked = ctypes.create_string_buffer(512)  # struct timex, of which modes = 0 only asks
    answer = int(look(asked))
    return None if answer < 0 else answer != _UNSYNCHRONISED
