"""What a client may do: observers look, operators control devices, laser operators also make light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from drivers.errors import LeaseError


class Role(IntEnum):
    """Each may do what the ones before may."""

    NOBODY = 0
    OBSERVER = 1
    OPERATOR = 2
    LASER_OPERATOR = 3

    @property
    def label(self) -> str:
        """As it is written in files and messages: ``laser-operator``."""
        return self.name.lower().replace("_", "-")


ROLES = {role.label: role for role in Role if role > Role.NOBODY}


_ARTICLE = {Role.NOBODY: "", Role.OBSERVER: "an ", Role.OPERATOR: "an ", Role.LASER_OPERATOR: "a "}


class RoleError(LeaseError):
    """The caller's role does not allow the call; travels as `LeaseError`."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request, as the transport knows it: never by what the request says of itself."""

    name: str
    role: Role

    def capped(self, role: int) -> Caller:
        """The same, in at most the role with this number; nobody at all for a number that is none."""
        highest = Role(role) if role in Role._value2member_map_ else Role.NOBODY
        return Caller(self.name, min(self.role, highest))

    def must_be(self, role: Role, what: str) -> None:
        """Raise RoleError unless the caller has at least this role."""
        if self.role < role:
            raise RoleError(
                f"{what} is for {role.label}s; {self.name} is {_ARTICLE[self.role]}{self.role.label}. Have the key "
                f"allowed with more: `labctl keys allow NAME --role {role.label}`"
            )


LOCAL_USER = Caller("this user on this host", Role.LASER_OPERATOR)
"""Whoever can open the host's sockets: their folder is closed to everybody else."""
