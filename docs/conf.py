"""Configuration of the documentation: sphinx-build -W --keep-going docs docs/_build/html."""

import os
import re
import sys
from pathlib import Path

import matplotlib

# The gallery looks up names of examples, also where it runs none (-D plot_gallery=0).
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import skcnn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
# The examples fit small networks, for which one thread is fastest.
os.environ.setdefault("SKCNN_NUM_THREADS", "1")
matplotlib.use("Agg")

project = "skcnn"
author = "the skcnn developers"
version = release = skcnn.__version__

extensions = [
    "brief_gallery",
    "linked_names",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "recorded", "**/README.rst"]
templates_path = ["templates"]
# A name in single backticks becomes a link if its target is documented.
default_role = "py:obj"
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Document what each module has in __all__.
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False

# Inventories of other projects are stored here, so that the build works offline. See
# make_inventories.py.
intersphinx_mapping = {
    path.stem: (path.with_suffix(".url").read_text().strip(), str(path))
    for path in sorted((HERE / "inventories").glob("*.inv"))
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"cifar100_ecology\.py",
    "within_subsection_order": "ExampleTitleSortKey",
    "reference_url": {"skcnn": None},
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skcnn",),
    "inspect_global_variables": False,
    # Cells that end in a display show its picture, not its repr.
    "capture_repr": (),
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "skcnn"
html_static_path = ["static"]
html_css_files = ["skcnn.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "logo": {"text": "skcnn"},
}
html_sidebars = {"index": [], "changelog": []}
copyright = author

# Links between files of the repository, and the pages of the site that they lead to.
_ON_SITE = {
    r"\(\.\./benchmarks/README\.md": "(benchmarks.md",
    r"\((\.\./)?docs/": "(",
    r"\(\.\./examples/README\.rst\)": "(auto_examples/index.rst)",
    r"\(\.\./examples/cifar100_ecology\.py\)": "(recorded_run.md)",
    r"\(\.\./examples/(plot_\w+)\.py\)": r"(auto_examples/\1.rst)",
    r"\(\.\./CHANGELOG\.md": "(changelog.md",
    r"\(contestants\.py\)": "(benchmarks.md)",
}


def _rewrite_links(app, docname, source):
    for pattern, target in _ON_SITE.items():
        source[0] = re.sub(pattern, target, source[0])
    # Only doctest needs the empty line at the end of an example.
    source[0] = re.sub(r"\n\n```$", "\n```", source[0], flags=re.MULTILINE)


def _skip_inherited(app, kind, name, member, skip, options):
    """Leave out methods that scikit-learn documents."""
    function = getattr(member, "fget", member)
    module = getattr(function, "__module__", None) or "skcnn"
    return True if not module.startswith("skcnn") else None


def setup(app):
    """Connect what Sphinx has no option for."""
    app.connect("autodoc-skip-member", _skip_inherited)
    app.connect("source-read", _rewrite_links)
    app.connect("include-read", lambda app, path, parent, source: _rewrite_links(app, "", source))
