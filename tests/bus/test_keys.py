"""Key files are told from keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.errors import ConfigurationError
from labctl.bus import security


def test_a_key_file_whose_path_has_as_many_characters_as_a_key_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    public = security.make("visitor")
    folder = Path("x" * (40 - len("/visitor.key")))
    monkeypatch.chdir(os.environ["LABCTL_KEYS"])
    folder.mkdir()
    public.rename(folder / "visitor.key")
    path = str(folder / "visitor.key")
    keys = security.load("visitor")
    assert keys is not None
    assert len(path) == 40
    assert security.public_key(path) == keys.public == security.public_key(keys.public)


@pytest.mark.parametrize("text", ["", "short", "nowhere.key", "x" * 41, "\u00e9" * 40])
def test_what_is_neither_key_nor_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"neither a public key"):
        security.public_key(text)
