"""Room in memory for what is read from a file that may be anybody's, or spoilt.

HDF5 makes room for as much as a text in a file claims to be long, up to 4 GiB, and fills it with zeros before it looks
for the text. With less room than that it says so at once.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

READING_BYTES = 1 << 30
"""Far more than what is read of a file to tell what is in it: texts, numbers, shapes."""

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def memory_for(more_bytes: int) -> Iterator[None]:
    """While the block lasts, this process gets so much memory beyond what it has: what asks for more fails, with
    MemoryError or whatever a library makes of it. All of its threads share that, so blocks are short.

    Does nothing on systems that do not tell how much memory a process has (others than Linux).
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except (ImportError, OSError):
        yield
        return
    with _one_at_a_time:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * os.sysconf("SC_PAGE_SIZE") + more_bytes
        if soft != resource.RLIM_INFINITY:
            most = min(most, soft)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
