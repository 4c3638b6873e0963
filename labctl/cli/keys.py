"""`labctl keys`: make keys, let clients in with a role, believe remote benches."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="keys",
    help="Keys for benches that other machines reach: who is let in, as what, and whom to believe.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_KeyOption = Annotated[str, typer.Option("--key", help="A public key (40 characters), or a file that holds one.")]


@app.command()
def make(name: Annotated[str, typer.Argument(help="`server` for a bench, any name for a person.")]) -> None:
    """Make a key pair. The secret stays in its file; the public key, which is printed, is to be handed on."""
    from labctl.bus import security

    path = security.make(name)
    print(f"public key  {security.public_key(str(path))}\nin          {path}\nsecret in   {path}_secret (keep it)")  # noqa: T201


@app.command()
def allow(
    name: Annotated[str, typer.Argument(help="Who it is; appears in leases and logs.")],
    role: Annotated[str, typer.Option("--role", help="observer, operator or laser-operator.")],
    key: _KeyOption = "",
) -> None:
    """Let the owner of a public key in; a known NAME without --key gets another role. Benches that are up follow."""
    from drivers.errors import ConfigurationError
    from labctl.bus import security

    known = security.allowed()
    if not key and name not in known:
        raise ConfigurationError(f"no key of {name!r} is known; give it with --key")
    security.allow(name, key or known[name][0], role)
    print(f"{name} is let in as {role}")  # noqa: T201


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Who is no longer let in.")]) -> None:
    """Keep a client out. Benches that are up follow: what it still asks is refused as an observer's."""
    from labctl.bus import security

    security.revoke(name)
    print(f"{name} is no longer let in")  # noqa: T201


@app.command()
def trust(
    name: Annotated[str, typer.Argument(help="What to call the bench in --at.")],
    at: Annotated[str, typer.Option("--at", help="Its address, tcp://HOST:PORT, as `labctl up` prints it.")],
    key: _KeyOption,
) -> None:
    """Believe the bench at an address if it proves this public key."""
    from labctl.bus import security

    security.trust(name, at, key)
    print(f"{name} is the bench at {at}: use it with --at {name}")  # noqa: T201


@app.command("list")
def list_() -> None:
    """Own key pairs, clients that are let in, benches that are believed."""
    from labctl.bus import security

    print(f"in {security.folder()}")  # noqa: T201
    for name in security.names():
        print(f"  own      {name:20} {security.public_key(str(security.folder() / f'{name}.key'))}")  # noqa: T201
    for name, (key, caller) in security.allowed().items():
        print(f"  let in   {name:20} {key}  {caller.role.label}")  # noqa: T201
    for name, entry in security.trusted().items():
        print(f"  believed {name:20} {entry.get('key', '')}  {entry.get('address', '')}")  # noqa: T201
