"""Sphinx extension that turns names in the code of a Markdown page into links.

The pages are read on GitHub, too, which has no roles. They write a class as `GridSearchCV`, and
this extension finds its full name.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.ext.intersphinx import InventoryAdapter
from sphinx.transforms.post_transforms import SphinxPostTransform

# A name, by itself or called: `skcnn.inspection`, `GridSearchCV(clf, ...)`.
_NAME = re.compile(r"([A-Za-z_][\w.]*)(\(.*\))?", re.DOTALL)


class NamesInCode(SphinxPostTransform):
    """Turn a literal that is the name of something documented into a reference to it."""

    # Before references are resolved.
    default_priority = 5

    def run(self, **kwargs):
        """Look at each literal of a page that is written in Markdown."""
        if Path(self.env.doc2path(self.env.docname)).suffix != ".md":
            return
        known = self.known_names()
        for literal in list(self.document.findall(nodes.literal)):
            match = _NAME.fullmatch(literal.astext())
            target = match and known.get(match[1])
            if target and not _is_linked(literal):
                reference = pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname
                )
                literal.replace_self(reference)
                reference += literal

    def known_names(self):
        """Give the whole name of whatever is documented, by its name and, of classes, its last."""
        own = [
            (name, entry.objtype) for name, entry in self.env.domaindata["py"]["objects"].items()
        ]
        others = [
            (name, kind.removeprefix("py:"))
            for kind, names in InventoryAdapter(self.env).main_inventory.items()
            for name in names
        ]
        names = {}
        # The project's own come last, so that they have the last word.
        for name, kind in [*others, *own]:
            names[name] = name
            if kind == "class":
                names[name.rpartition(".")[2]] = name
        return names


def _is_linked(node):
    while node is not None:
        if isinstance(node, nodes.reference | pending_xref | nodes.title):
            return True
        node = node.parent
    return False


def setup(app):
    """Register the transform."""
    app.add_post_transform(NamesInCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
