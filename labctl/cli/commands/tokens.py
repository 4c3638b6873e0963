"""`labctl tokens`: who may do more than look on at the page."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="tokens",
    help="Tokens for `labctl page`: who may do more there than look on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Who it is for; appears in leases and logs.")],
    role: Annotated[str, typer.Option("--role", help="operator or laser-operator.")],
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Good for this long, such as 8h.", show_default="for good"),
    ] = None,
) -> None:
    """Make a token and print it, once: it is kept nowhere. One that NAME had before is good no more."""
    from labctl.cli.times import seconds_of
    from labctl.page.access import tokens

    for_s = None if for_ is None else seconds_of("--for", for_)
    print(tokens.make(name, role, for_s))  # noqa: T201


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Whose token is good no more.")]) -> None:
    """Who signed in with it is an observer from now on; lasers they control go dark."""
    from labctl.page.access import tokens

    tokens.revoke(name)
    print(f"the token of {name} is good no more")  # noqa: T201


@app.command("list")
def list_() -> None:
    """Names, roles and ends; tokens themselves are kept nowhere."""
    from datetime import UTC, datetime

    from labctl.page.access import tokens

    for one in tokens.tokens():
        end = "" if one.until is None else f"  until {datetime.fromtimestamp(one.until, UTC):%Y-%m-%d %H:%M} UTC"
        print(f"{one.name:20} {one.role.label}{end}{'' if one.good else '  (over)'}")  # noqa: T201
