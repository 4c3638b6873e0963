"""Equations as MathML, which browsers show by themselves: no script, no font and no network is needed to read them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

log = logging.getLogger(__name__)


def _mathml(node: nodes.Element, as_block: bool) -> str:
    try:
        return str(tex2mathml(node.astext(), as_block=as_block))
    except MathError as error:
        log.warning("no equation: %s in %r", error, node.astext(), location=node)
        return "<code></code>"


def _numbers(label: str) -> str:
    """The paper's numbers: ``domino-4-5`` is (4), (5) there."""
    return ", ".join(f"({number})" for number in label.split("-")[1:])


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """``$…$``."""
    self.body.append(f'<span class="math">{_mathml(node, False)}</span>')
    raise nodes.SkipNode


def display(self: HTML5Translator, node: nodes.math_block) -> None:
    """``$$…$$``, with the numbers that its label ends with."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(_mathml(node, True))
    if node.get("label"):
        self.body.append(f'<span class="eqno">{_numbers(node["label"])}</span>')
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
