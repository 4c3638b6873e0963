"""The manual: Sphinx with MyST Markdown, read without a network (equations are MathML, fonts and search from disk)."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "labctl"
author = "the authors of labctl"
release = metadata.version("labctl")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "mathml",
    "own_paths",
    "plain_docstrings",
    "generated",
]
exclude_patterns = ["_ext", "README.md"]
root_doc = "index"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = [
    "myst.header",  # generated pages begin at the level where they stand
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
default_role = "code"  # docstrings write names in single backticks
smartquotes = False  # "--set" is an option, not a dash
highlight_language = "none"  # blocks without a language are commands and what they print
nitpicky = False

html_theme = "furo"
html_title = "labctl"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif", "font-stack--monospace": "ui-monospace, monospace"},
}
