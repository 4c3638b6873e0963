"""Signatures of operations, from the text that a device server tells: for `help`, tab completion and editors."""

from __future__ import annotations

import ast
import inspect
from typing import Any


def signature_of(text: str) -> inspect.Signature:
    """``"(frames: 'int' = 1) -> 'None'"`` as a signature; types in it are shown, not known.

    What cannot be read, from a server of another version, is ``(*args, **kwargs)``: nothing breaks by it.
    """
    try:
        told = ast.parse(f"def operation{text}: ...").body[0]
    except (SyntaxError, ValueError):
        return _ANY
    assert isinstance(told, ast.FunctionDef)
    given, P = told.args, inspect.Parameter
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    parameters = [
        _parameter(a, P.POSITIONAL_ONLY if a in given.posonlyargs else P.POSITIONAL_OR_KEYWORD, d)
        for a, d in zip(plain, defaults, strict=True)
    ]
    parameters += [_parameter(given.vararg, P.VAR_POSITIONAL)] if given.vararg else []
    parameters += [_parameter(a, P.KEYWORD_ONLY, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    parameters += [_parameter(given.kwarg, P.VAR_KEYWORD)] if given.kwarg else []
    return inspect.Signature(parameters, return_annotation=_annotation(told.returns))


def _parameter(argument: ast.arg, kind: Any, default: ast.expr | None = None) -> inspect.Parameter:
    value = inspect.Parameter.empty if default is None else _value(default)
    return inspect.Parameter(argument.arg, kind, default=value, annotation=_annotation(argument.annotation))


def _annotation(told: ast.expr | None) -> Any:
    if told is None:
        return inspect.Signature.empty
    if isinstance(told, ast.Constant) and isinstance(told.value, str):
        return _Told(told.value)
    return _Told(ast.unparse(told))


def _value(told: ast.expr) -> Any:
    try:
        return ast.literal_eval(told)
    except ValueError:
        return _Told(ast.unparse(told))


class _Told:
    """A type or default that is known by its text only, and shown as that."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_ANY = inspect.signature(lambda *args, **kwargs: None)
