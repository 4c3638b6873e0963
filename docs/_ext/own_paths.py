"""Paths in backticks that name a page of the manual (`docs/bus.md`, `bus.md`) lead there, and must be there.

Texts stay as they are read in an editor or on a page of the repository, and yet cannot go stale. Paths of other files
of the repository (`examples/…`, `benches/…`, `simulators/…`) are only looked for.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

log = logging.getLogger(__name__)

_PAGE = re.compile(r"(?P<path>(?:docs/)?[\w/-]+)\.md")
_FILE = re.compile(
    r"(?:benches|benchmarks|calibration|docs|drivers|examples|labctl|protocols|scripts|simulators|tests)/[\w./-]+"
)
ROOT = Path(__file__).resolve().parents[2]
MADE_BY_COMMAND = {"safety"}
"""Pages that somebody has a command write on a quiet machine (`labctl ledger --report docs/safety.md`): they may be
missing."""


class OwnPaths(SphinxPostTransform):
    """Literals to links, before references are resolved."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """See the module."""
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            page = _PAGE.fullmatch(text)
            if page is not None:
                self._link(literal, page["path"])
            elif _FILE.fullmatch(text) and not _placeholder(text) and not (ROOT / text).exists():
                log.warning("%s is not in the repository", text, location=literal)

    def _link(self, literal: nodes.literal, path: str) -> None:
        here = PurePosixPath(self.env.docname).parent
        wanted = [path.removeprefix("docs/")] if path.startswith("docs/") else [str(here / path), path]
        found = next((name.removeprefix("./") for name in wanted if name.removeprefix("./") in self.env.all_docs), None)
        if found is None:
            if path.startswith("docs/") and path.removeprefix("docs/") not in MADE_BY_COMMAND:
                log.warning("%s.md is no page of the manual", path, location=literal)
            return
        if found == self.env.docname or isinstance(literal.parent, nodes.reference):
            return
        reference = addnodes.pending_xref(
            "", literal.deepcopy(), refdomain="std", reftype="doc", reftarget=f"/{found}", refdoc=self.env.docname,
            refexplicit=True, refwarn=True,
        )  # fmt: skip
        literal.replace_self(reference)


def _placeholder(path: str) -> bool:
    """Whether a part of it stands for something else: protocols/PAPER/paper.py."""
    return any(part.isupper() for part in path.split("/"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_post_transform(OwnPaths)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
