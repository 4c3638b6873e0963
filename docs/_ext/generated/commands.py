"""Every command of `labctl`, as its own help tells it."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from generated.markdown import prose, table
from labctl.cli.app import app


def text() -> str:
    """One section a command, in the order of `labctl --help`; those of a group below it."""
    root: Any = typer.main.get_command(app)
    return "\n".join(_section(command, ("labctl", name), 2) for name, command in root.commands.items())


def _section(command: Any, path: tuple[str, ...], level: int) -> str:
    context = command.context_class(command, info_name=" ".join(path))
    lines = [f"{'#' * level} {' '.join(path)}", ""]
    group = hasattr(command, "commands")
    if not group:
        usage = " ".join(command.collect_usage_pieces(context))
        lines += ["```text", f"{' '.join(path)} {usage}", "```", ""]
    lines += [_paragraphs(inspect.cleandoc(command.help or "")), ""]
    if group:
        lines += [_section(sub, (*path, name), level + 1) for name, sub in command.commands.items()]
        return "\n".join(lines)
    rows = [
        (f"`{_shown(parameter, context)}`", prose(parameter.help or ""), _default(parameter, context))
        for parameter in command.params
        if not getattr(parameter, "hidden", False)  # an old spelling
    ]
    end = [_paragraphs(command.epilog or ""), ""]
    return "\n".join([*lines, table(("argument or option", "what", "unless given"), rows), *end])


def _shown(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "option":
        return str(parameter.get_help_record(context)[0])
    return " ".join(parameter.get_usage_pieces(context))


def _default(parameter: Any, context: Any) -> str:
    if parameter.required:
        return "needed"
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return shown
    value = parameter.get_default(context)
    if value is None or value == "" or value == () or getattr(parameter, "is_flag", False):
        return ""
    return f"`{value}`"


def _paragraphs(help_text: str) -> str:
    """Help as it is printed; what is marked to be kept as it stands (\\b) are examples."""
    out = []
    for paragraph in help_text.split("\n\n"):
        if paragraph.startswith("\b"):
            block = paragraph.removeprefix("\b").strip("\n").splitlines()
            if block and block[0].endswith(":"):
                out.append(f"{block[0]}")
                block = block[1:]
            out.append("```text\n" + inspect.cleandoc("\n".join(["", *block])) + "\n```")
        else:
            out.append(prose(paragraph))
    return "\n\n".join(out)
