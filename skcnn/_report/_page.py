"""The page around the sections of a report: its head, its contents and its style."""

from collections.abc import Sequence
from dataclasses import dataclass

from skcnn._report._markup import Html, escape, join


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    anchor : str
        Its name in links.
    title : str
    body : Html
    """

    anchor: str
    title: str
    body: Html


def make_page(title: str, lead: Html, sections: Sequence[Section]) -> str:
    """Return the whole page, which needs nothing from elsewhere.

    Parameters
    ----------
    title : str
    lead : Html
        What comes above the sections.
    sections : sequence of Section
    """
    links = join(Html(f'<a href="#{s.anchor}">{escape(s.title)}</a>') for s in sections)
    body = join(
        Html(f'<section id="{s.anchor}"><h2>{escape(s.title)}</h2>{s.body}</section>')
        for s in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing is loaded from elsewhere, whatever a label or a file name may hold.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<header><h1>{escape(title)}</h1>"
        f"{lead}<nav>{links}</nav></header>\n{body}\n</main>\n</body>\n</html>\n"
    )


_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2329; --muted: #59636e; --line: #d9dee3; --soft: #f3f5f7;
  --accent: #0072b2; --bar: #9cc9e3; --wrong: #b34a00;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e4e8ec; --muted: #9aa5b0; --line: #343c44; --soft: #1e242a;
    --accent: #6cb8e6; --bar: #2c5f7e; --wrong: #ff9f5c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: 0 0 .75rem; max-width: 44rem; }
.muted, figcaption, .tiles dt, .tiles dd + dd { color: var(--muted); }
.note {
  border-left: 4px solid var(--wrong); background: var(--soft); padding: .6rem .9rem;
  max-width: 44rem;
}
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: 1rem; font-size: .9rem; }
a { color: var(--accent); }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.right { color: var(--accent); } .wrong { color: var(--wrong); }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0;
}
.tiles > div {
  background: var(--soft); border: 1px solid var(--line); border-radius: 8px;
  padding: .7rem .9rem;
}
.tiles dt { font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.75rem; font-weight: 600; line-height: 1.25; }
.tiles dd + dd { font-size: .85rem; font-weight: 400; line-height: 1.4; }
.facts { margin: 0 0 1rem; max-width: 44rem; }
.facts > div {
  display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: 0 1rem;
  padding: .3rem 0; border-bottom: 1px solid var(--line);
}
.facts dt { color: var(--muted); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .9rem; margin: .25rem 0 1rem; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; white-space: nowrap; }
tbody th { font-weight: 500; }
tbody th, td:not(.n) { overflow-wrap: anywhere; min-width: 7rem; }
th.n, td.n { text-align: right; white-space: nowrap; }
.range {
  display: block; position: relative; width: 12rem; height: 8px; border-radius: 4px;
  background: var(--soft);
}
.range i { position: absolute; top: 0; bottom: 0; border-radius: 4px; background: var(--bar); }
.range b {
  position: absolute; top: -3px; bottom: -3px; width: 3px; margin-left: -1.5px;
  border-radius: 1px; background: var(--accent);
}
.bars { list-style: none; padding: 0; margin: 0 0 1rem; columns: 17rem; column-gap: 2.5rem; }
.bars li {
  display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; font-size: .9rem;
  break-inside: avoid; padding: .2rem 0 .35rem;
}
.bars span { overflow-wrap: anywhere; }
.bars i { grid-column: 1 / -1; height: 5px; border-radius: 3px; background: var(--bar); }
figure { margin: 0 0 1rem; break-inside: avoid; }
figcaption { font-size: .85rem; max-width: 44rem; overflow-wrap: anywhere; }
figure svg { display: block; height: auto; max-width: none; }
figure svg text { font-family: inherit !important; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-start; }
.beside > * { min-width: 0; max-width: 100%; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr));
  gap: 1.25rem 1rem; margin-bottom: 1rem;
}
.card { margin: 0; }
.card > div { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; }
.card img {
  width: 100%; height: auto; aspect-ratio: 4 / 3; object-fit: contain; display: block;
  background: var(--soft); border-radius: 4px;
}
.card .pixels { image-rendering: pixelated; }
.card figcaption { margin-top: .35rem; color: var(--ink); line-height: 1.35; }
.card figcaption small { display: block; color: var(--muted); font-size: inherit; }
pre { font-size: .8rem; line-height: 1.4; padding: .75rem; background: var(--soft); }
details { margin-bottom: 1rem; } summary { cursor: pointer; color: var(--accent); }
@media (min-width: 900px) { figure svg:not(.wide) { max-width: 100%; } }
@media (max-width: 600px) { .range { width: 5rem; } }
@media (max-width: 480px) {
  main { padding: 1.25rem 1rem 3rem; }
  .facts > div { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles > div { padding: .6rem .7rem; }
  .tiles dd { font-size: 1.4rem; }
  table { font-size: .82rem; }
  th, td { padding-right: .45rem; }
  thead th, thead th.n { white-space: normal; overflow-wrap: normal; }
  tbody th, td:not(.n) { min-width: 6rem; }
  .range { width: 3rem; }
}
@media print {
  main { max-width: none; padding: 0; }
  nav { display: none; }
  body { font-size: 10pt; }
  section { break-inside: auto; margin-top: 1.25rem; padding-top: 1rem; }
  h2, h3, section > p { break-after: avoid; }
  p { break-inside: avoid; }
  .scroll { overflow: visible; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tiles dd { font-size: 1.3rem; }
  .cards { grid-template-columns: repeat(2, 1fr); }
  .bars { columns: 3; }
  figure svg, figure svg.wide { max-width: 100%; }
  .tiles > div, .bars i, .note, .card img, .range, .range * {
    -webkit-print-color-adjust: exact; print-color-adjust: exact;
  }
  pre { white-space: pre-wrap; font-size: 7.5pt; }
  details::details-content { content-visibility: visible; height: auto; display: block; }
}
"""
