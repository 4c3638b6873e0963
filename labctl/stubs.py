"""Types of a bench's devices as Python text, for editors and mypy, derived from the contract: none is written twice.

`kinds_text` is the module `labctl.kinds`, every kind that is registered; `bench_text` a module of one bench, whose
``open_bench`` gives it with its roles. What a driver has besides its kind is in the latter.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import sys
import textwrap
from typing import Any

from drivers.errors import ConfigurationError
from drivers.settings import Configurable, setting
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.snap import Snap
from labctl.bus.proxy import DeviceProxy
from labctl.bus.signatures import signature_of

_WIDTH = 118
_OURS, _BASE = "labctl.kinds", "Device"
_OF_A_PROXY = ("identity", "snapshot", "limits", "safe", "allocate", "stream", "submit_get")
_HEAD = "\n# ruff: noqa\n# fmt: off\nfrom __future__ import annotations\n\n"


def kinds_text() -> str:
    """The module `labctl.kinds`, of the kinds that come with labctl."""
    imports = _Imports()
    imports.add("from labctl.typed import remote")
    classes = [_device_text(imports)]
    classes += [_class_text(cls, _BASE, _members(cls), imports) for cls in _our_kinds().values()]
    doc = (
        '"""Kinds of devices as they are behind the bus: types of settings and operations, for editors and mypy.\n\n'
        "    camera: labctl.kinds.Camera = bench.camera\n\n"
        "Written by `labctl stubs --kinds`; it is not changed by hand.\n"
        '"""\n'
    )
    return doc + _HEAD + imports.text() + "\n\n" + "\n\n".join(classes)


def bench_text(config: BenchConfig, source: str) -> str:
    """A module of one bench. source: how `open_bench` is told which."""
    imports = _Imports()
    for line in (
        "from collections.abc import Iterator, Mapping",
        "from contextlib import contextmanager",
        "from typing import cast",
        "from labctl import Bench",
        "from labctl import open_bench as open_any_bench",
    ):
        imports.add(line)
    ours = _our_kinds()
    made: dict[type, str] = {}
    classes: list[str] = []
    for device in config.devices.values():
        kind = _kind_of(device.factory)
        if device.factory in made:
            continue
        base, more = _BASE, _members(device.factory)
        if ours.get(kind.kind) is kind:
            base, known = kind.__name__, {name for name, _ in _members(kind)}
            more = [(name, member) for name, member in more if name not in known]
        imports.add(f"from {_OURS} import {base}")
        made[device.factory] = base
        if more or base == _BASE:
            imports.add("from labctl.typed import remote")
            made[device.factory] = _free_name(device.factory.__name__, {base, *made.values(), "Bench"})
            classes.append(_class_text(device.factory, base, more, imports, made[device.factory]))
    titled = re.sub(r"\W", "", config.name.title())
    name = _free_name(titled if titled.isidentifier() else f"Bench{titled}", {*made.values(), "Bench"}, "Bench")
    roles = [(role, made[d.factory]) for role, d in config.devices.items() if _can_be_attribute(role)]
    lines = [f"class {name}(Bench):", f'    """Bench {config.name} with its roles."""\n']
    lines += [f"    {role}: {cls}" for role, cls in roles]
    doc = (
        f'"""Bench {config.name} with the types of its devices, for editors and mypy.\n\n'
        "    from MODULE import open_bench\n\n"
        f"    with open_bench() as bench:\n        bench.{roles[0][0] if roles else 'name'}\n\n"
        "Written by `labctl stubs`; write it again when the bench file changes.\n"
        '"""\n'
    )
    opened = (
        "@contextmanager\n"
        "def open_bench(\n"
        "    overrides: Mapping[str, object] | None = None, at: str | None = None, *, own: bool = False,\n"
        f"    control: str | None = None,\n) -> Iterator[{name}]:\n"
        '    """As `labctl.open_bench`, of this bench."""\n'
        f"    with open_any_bench({source!r}, overrides, at, own=own, control=control) as bench:\n"
        f"        yield cast({name!r}, bench)\n"
    )
    body = [*classes, "\n".join(lines) + "\n", opened]
    return doc + _HEAD + imports.text() + "\n\n" + "\n\n".join(body)


def _can_be_attribute(role: str) -> bool:
    """Others, such as ``my-camera``, are reached as ``bench["my-camera"]`` only."""
    return role.isidentifier() and not keyword.iskeyword(role)


def _our_kinds() -> dict[str, type[Configurable]]:
    return {
        name: cls
        for name in registry.names("labctl.kinds")
        for cls in [registry.load("labctl.kinds", name)]
        if cls.__module__.startswith("drivers.contract")
    }


def _kind_of(factory: type[Configurable]) -> type[Configurable]:
    """The class of the kind that a driver implements."""
    if factory.kind in registry.names("labctl.kinds"):
        kind: type[Configurable] = registry.load("labctl.kinds", factory.kind)
        if issubclass(factory, kind):
            return kind
    return factory


def _members(cls: type[Configurable]) -> list[tuple[str, Any]]:
    """Settings and operations by name: a `setting`, or the function as the contract or the driver declares it."""
    found: list[tuple[str, Any]] = list(cls.declared_settings().items())
    for name in cls.declared_operations():
        declared = [vars(b)[name] for b in cls.__mro__ if hasattr(vars(b).get(name), "__operation__")]
        found.append((name, declared[-1]))
    if cls.kind == "camera" and "snap" not in cls.declared_operations():
        found.append(("snap", Snap))
    return found


def _device_text(imports: _Imports) -> str:
    """What every device has behind the bus. Unlike the proxy it has no other attributes, so that slips are found."""
    blocks = [f"class {_BASE}:\n{_doc(inspect.getdoc(DeviceProxy), 4)}", "    name: str\n    kind: str\n"]
    for name in _OF_A_PROXY:
        head = f"def {name}{imports.resolved(getattr(DeviceProxy, name))}:"
        blocks.append(_method_text(head, inspect.getdoc(getattr(DeviceProxy, name))))
    return "\n".join(blocks)


def _class_text(
    cls: type, base: str, members: list[tuple[str, Any]], imports: _Imports, name: str | None = None
) -> str:
    blocks = [f"class {name or cls.__name__}({base}):\n{_doc(inspect.getdoc(cls), 4)}"]
    for member_name, member in members:
        if isinstance(member, setting):
            blocks.append(_setting_text(member, imports))
        elif member is Snap:
            imports.add("from drivers.contract import Frame")
            blocks.append(_operation_text("def snap(self) -> Frame:", inspect.getdoc(Snap)))
        else:
            signature = imports.resolved(member)
            blocks.append(_operation_text(f"def {member_name}{signature}:", inspect.getdoc(member)))
    return "\n".join(blocks)


def _setting_text(member: setting[Any], imports: _Imports) -> str:
    kind = member.value_type
    text = "dict[str, str]" if kind is dict else kind.__name__
    if kind.__module__ != "builtins":
        imports.add(f"from {_home_of(kind)} import {kind.__name__}")
    told = member.doc + (f" Unit: {member.unit}." if member.unit and member.unit != "1" else "")
    if not member.read_only:
        return f"    {member.name}: {text}\n{_doc(told, 4)}"
    head = f"    @property\n    def {member.name}(self) -> {text}:\n"
    return f"{head}{_doc(told, 8)}        raise NotImplementedError\n"


def _operation_text(head: str, doc: str | None) -> str:
    return f"    @remote\n{_method_text(head, doc)}"


def _method_text(head: str, doc: str | None) -> str:
    lines = textwrap.wrap(head, _WIDTH - 4, subsequent_indent="        ", break_long_words=False)
    joined = "\n".join(f"    {line}" for line in lines)
    return f"{joined}\n{_doc(doc, 8)}        raise NotImplementedError\n"


def _doc(text: str | None, indent: int) -> str:
    told = (text or "").replace("\\", "\\\\").replace('"""', "'''")
    end = "\n" if "\n" in told else ""
    return textwrap.indent(f'"""{told}{end}"""', " " * indent) + "\n"


def _free_name(name: str, taken: set[str], suffix: str = "") -> str:
    return name if name not in taken else f"{name}{suffix or 'Device'}"


def _home_of(cls: type) -> str:
    public = getattr(sys.modules["drivers.contract"], cls.__name__, None)
    return "drivers.contract" if public is cls else cls.__module__


class _Imports:
    """Lines that bring the names of annotations, as the modules import them in which they are written."""

    def __init__(self) -> None:
        self._meaning: dict[str, str] = {}

    def add(self, line: str) -> None:
        """A line, unless it is there. ConfigurationError if it gives a name another meaning."""
        where, _, names = line.rpartition("import ")
        for name in names.split(", "):
            short, one = name.rpartition(" as ")[2], f"{where}import {name}"
            before = self._meaning.setdefault(short, one)
            if before != one:
                raise ConfigurationError(f"stubs: {short} is both `{before}` and `{one}`; rename one of them")

    def text(self) -> str:
        """Sorted: modules first, then names by where they come from."""
        return "\n".join(sorted(self._meaning.values(), key=lambda line: (line.startswith("from"), line))) + "\n"

    def resolved(self, function: Any) -> inspect.Signature:
        """The signature of a function, whose annotations' names are imported; types in it as they are written."""
        module = sys.modules[function.__module__]
        signature = inspect.signature(function)
        parameters = [p.replace(annotation=self._named(p.annotation, module)) for p in signature.parameters.values()]
        told = self._named(signature.return_annotation, module)
        return signature_of(str(signature.replace(parameters=parameters, return_annotation=told)))

    def _named(self, annotation: Any, module: Any) -> Any:
        """An annotation after its names are imported."""
        if not isinstance(annotation, str):
            return annotation
        known, tree = _imported_by(module), ast.parse(annotation, mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Name):
                continue
            line, found = known.get(node.id), vars(module).get(node.id)
            if line is not None and line.startswith("from collections.abc "):  # has names that the contract has, too
                self.add("import collections.abc")
                node.id = f"collections.abc.{node.id}"
            elif line is not None:
                self.add(line)
            elif isinstance(found, type) and found.__module__ != "builtins":
                self.add(f"from {_home_of(found)} import {node.id}")
        return ast.unparse(tree)


def _imported_by(module: Any) -> dict[str, str]:
    """Names that a module imports, and the line that does."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                cls = vars(module).get(alias.asname or alias.name)
                home = _home_of(cls) if isinstance(cls, type) and node.module.startswith("drivers.") else node.module
                given = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
                found[alias.asname or alias.name] = f"from {home} import {given}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                given = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
                found[alias.asname or alias.name] = f"import {given}"
    return found
