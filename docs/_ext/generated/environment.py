"""Errors, formats, variables: short lists that would go stale if they were written by hand."""

from __future__ import annotations

import inspect

from drivers import errors as module
from drivers.errors import ConfigurationError, LabError
from generated.markdown import doc, first_paragraph, prose, table
from labctl import registry
from labctl.doctor.folders import VARIABLES


def errors() -> str:
    """The hierarchy of errors, and the exit status each leads to."""
    found = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, LabError)]
    rows = [
        (f"`{one.__name__}`", f"`{one.__mro__[1].__name__}`", prose(first_paragraph(doc(one))),
         "2" if issubclass(one, ConfigurationError) else "1")
        for one in found
    ]  # fmt: skip
    return table(("error", "is a", "means", "exit status"), rows)


def exporters() -> str:
    """Formats in which runs travel."""
    names = registry.names("labctl.exporters")
    return table(
        ("format", "what"),
        [(f"`{one}`", prose(first_paragraph(doc(registry.load("labctl.exporters", one))))) for one in names],
    )


def variables() -> str:
    """Variables of the environment."""
    return table(("variable", "what"), [(f"`{name}`", told) for name, told in VARIABLES.items()])
