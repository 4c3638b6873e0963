"""An interruption that is not lost.

Python raises KeyboardInterrupt wherever the main thread happens to be; in a destructor or the callback of a weak
reference it is printed and forgotten, and the run goes on with its light on. So whoever handles the signal notes it
here, too, and every step of a run looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_noted = False


def note() -> None:
    """The user wants the run to end."""
    global _noted
    _noted = True


def forget() -> None:
    """What was wanted before is over."""
    global _noted
    _noted = False


def look() -> None:
    """Raise KeyboardInterrupt if the user wants the run to end, and none was raised that got through."""
    if _noted:
        forget()
        raise KeyboardInterrupt


@contextmanager
def prevailing() -> Iterator[None]:
    """An interruption stays one, also if what tidies up after it fails: a setting that is put back on a bench that is
    being made safe, say. Such an error would else end the run as failed, and be told in place of the interruption."""
    try:
        yield
    except Exception as error:
        before = error.__context__
        while before is not None and not isinstance(before, KeyboardInterrupt):
            before = before.__context__
        if before is None:
            raise
        raise KeyboardInterrupt from error
