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
def rotate(
    name: Annotated[str, typer.Argument(help="An own key pair, or with --key a client that is let in.")],
    key: _KeyOption = "",
    overlap: Annotated[str, typer.Option("--overlap", help="For how long both are let in.")] = "7 d",
    finish: Annotated[bool, typer.Option("--finish", help="Show the new pair from now on; the old key ends.")] = False,
) -> None:
    """Change a key for a new one: both are good for a while, then the old one is not.

    Without --key: a new pair beside the own pair NAME. With --key: the client NAME is let in with that key, too.
    """
    from drivers.errors import ConfigurationError
    from labctl.bus import rotation, security
    from labctl.cli.times import seconds_of

    if finish:
        own = rotation.is_changing(name)
        public = rotation.finish(name) if own else ""
        dropped = rotation.drop_old(name)
        if not own and not dropped:
            raise ConfigurationError(f"no key of {name!r} is being changed; begin with `labctl keys rotate {name}`")
        if own:
            print(f"{name} is the new pair from now on, with the public key\n  {public}")  # noqa: T201
            print("a bench that is up proves the old one until it is started again")  # noqa: T201
        if dropped:
            print(f"{name} is let in with the new key only")  # noqa: T201
        return
    overlap_s = seconds_of("--overlap", overlap)
    if key:
        until = rotation.accept(name, key, overlap_s)
        print(f"{name} is let in with the new key, and with the old one until {until:%Y-%m-%d %H:%M} UTC")  # noqa: T201
        return
    before = security.load(name)
    new = rotation.begin(name)
    known = security.allowed().get(name)
    if before is not None and known is not None and known[0] == before.public:
        until = rotation.accept(name, new, overlap_s)
        print(f"{name} is let in here with the new key, and with the old one until {until:%Y-%m-%d %H:%M} UTC")  # noqa: T201
    print(  # noqa: T201
        f"new public key\n  {new}\n"
        f"The old pair is used on until `labctl keys rotate {name} --finish`. Before that:\n"
        f"  a person's key: on the machine of each bench  labctl keys rotate {name} --key '{new}'\n"
        f"  a bench's key:  on each machine of a client   labctl keys trust BENCH --next '{new}'\n"
        "                  (clients that come meanwhile are told so)"
    )


@app.command()
def trust(
    name: Annotated[str, typer.Argument(help="What to call the bench in --at.")],
    at: Annotated[str, typer.Option("--at", help="Its address, tcp://HOST:PORT, as `labctl up` prints it.")] = "",
    key: _KeyOption = "",
    next_: Annotated[str, typer.Option("--next", help="The key that a bench, trusted already, will have.")] = "",
) -> None:
    """Believe the bench at an address if it proves this public key."""
    from drivers.errors import ConfigurationError
    from labctl.bus import rotation, security

    if next_:
        if at or key:
            raise ConfigurationError("--next is of a bench that is trusted already: leave --at and --key out")
        rotation.believe(name, next_)
        print(f"{name} is believed with the new key as well; once it has proved it, with that one only")  # noqa: T201
        return
    if not at or not key:
        raise ConfigurationError("give --at tcp://HOST:PORT and --key KEY, or --next KEY")
    security.trust(name, at, key)
    print(f"{name} is the bench at {at}: use it with --at {name}")  # noqa: T201


@app.command("list")
def list_() -> None:
    """Own key pairs, clients that are let in, benches that are believed."""
    from datetime import UTC, datetime

    from labctl.bus import rotation, security

    print(f"in {security.folder()}")  # noqa: T201
    for name in security.names():
        print(f"  own      {name:20} {security.public_key(str(security.folder() / f'{name}.key'))}")  # noqa: T201
        if rotation.is_changing(name):
            print(f"    next   {name:20} {rotation.coming(name)}")  # noqa: T201
    for one in security.admitted():
        end = "" if one.until is None else f"  until {datetime.fromtimestamp(one.until, UTC):%Y-%m-%d %H:%M} UTC"
        print(f"  let in   {one.caller.name:20} {one.key}  {one.caller.role.label}{'  (over)' if one.over else end}")  # noqa: T201
    for name, entry in security.trusted().items():
        print(f"  believed {name:20} {entry['key']}  {entry['address']}")  # noqa: T201
        if "next" in entry:
            print(f"    next   {name:20} {entry['next']}")  # noqa: T201
