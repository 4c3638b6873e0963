"""`labctl keys`: changing keys for new ones, as people do it."""

from __future__ import annotations

from commands import Command

from labctl.bus import rotation, security


def test_by_command_a_key_is_changed_from_beginning_to_end(labctl: Command) -> None:
    public = labctl("keys", "make", "carol").out.split()[2]
    labctl("keys", "allow", "carol", "--role", "observer", "--key", public)
    said = labctl("keys", "rotate", "carol", "--overlap", "2 h").out
    new = rotation.coming("carol")
    assert f"labctl keys rotate carol --key '{new}'" in said
    assert "with the old one until" in said  # this user's own list has it
    assert security.own_keys() == security.load("carol")  # the new pair is none to choose from yet
    listed = labctl("keys", "list").out
    assert (listed.count(public), listed.count(new)) == (2, 2)
    assert "--finish" in labctl("keys", "rotate", "carol", "--key", "0" * 40).err
    labctl("keys", "allow", "carol", "--role", "operator")  # another role leaves the overlap as it is
    assert len(security.admitted()) == 2
    assert "new key only" in labctl("keys", "rotate", "carol", "--finish").out
    assert [one.key for one in security.admitted()] == [new] == [security.allowed()["carol"][0]]
    assert labctl("keys", "rotate", "carol", "--finish").status == 2
    secret = (security.folder() / "carol.key_secret").read_text()
    assert new in secret
    assert public not in secret


def test_the_change_of_a_benchs_key_can_be_told_by_command(labctl: Command) -> None:
    labctl("keys", "trust", "far", "--at", "tcp://127.0.0.1:1", "--key", "0" * 40)
    assert labctl("keys", "trust", "far", "--next", "1" * 40).status == 0
    assert dict(security.trusted()["far"]) == {"address": "tcp://127.0.0.1:1", "key": "0" * 40, "next": "1" * 40}
    assert labctl("keys", "trust", "near", "--next", "1" * 40).status == 2
    assert labctl("keys", "trust", "far").status == 2


def test_a_time_that_is_over_before_it_begins_changes_nothing(labctl: Command) -> None:
    labctl("keys", "make", "carol")
    made = labctl("keys", "rotate", "carol", "--overlap", "-5 d")
    assert (made.status, rotation.coming("carol")) == (2, "")
    assert "longer than 0 s" in made.err
    token = labctl("tokens", "make", "alice", "--role", "operator", "--for", "0 s")
    assert (token.status, token.out) == (2, "")


def test_a_port_that_cannot_be_is_told(labctl: Command) -> None:
    far = labctl("keys", "trust", "far", "--at", "tcp://127.0.0.1:99999", "--key", "0" * 40)
    assert (far.status, dict(security.trusted())) == (2, {})
    assert "1 to 65535" in far.err
