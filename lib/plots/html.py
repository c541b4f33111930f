"""HTML pages that need no network connection: headings, tables, sentences and pictures. No script
runs in them, whatever their content.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup as Html  # text that is HTML already; any other text is escaped

# Content security policy: a browser may use the page's own styles and pictures, nothing else.
POLICY = (
    "default-src 'none'; img-src data: file: 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
TAGS = ("table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption", "b", "i", "br", "code")
NO_TEXT = ("script", "style", "iframe", "object", "template", "noscript", "svg", "math", "title")
LONG = 40  # characters from which on a word may be broken
MANY_COLUMNS = 18  # number of columns above which any word of a table may be broken
STYLE = (
    "body{font:15px "
    "sans-serif;margin:2em;max-width:110em}table{border-collapse:collapse;font-size:13px}"
    "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left;vertical-align:top}"
    "tr:nth-child(even){background:#f6f6f6}h2{margin-top:2em}"
    "img{max-width:100%}pre{white-space:pre-wrap}"
    ".note{color:#b00;font-style:italic}figure{margin:1em 0}summary{cursor:pointer;margin:.5em 0}"
)
# Template of all our pages. Text that is no `Html` is escaped.
PAGE_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
{% if reload %}
<meta http-equiv="refresh" content="{{ reload }}">
{% endif %}
<title>{{ title }}</title>
<style>{{ style }}</style>
<body>
<h1>{{ title }}</h1>
{% if contents %}
<ul>
{% for heading, _ in parts if heading %}
<li><a href="#{{ anchors[heading] }}">{{ heading }}</a></li>
{% endfor %}
</ul>
{% endif %}
{% for heading, content in parts %}
{% if heading %}
<h2 id="{{ anchors[heading] }}">{{ heading }}</h2>
{% endif %}
{% if content is escaped %}{{ content }}{% else %}<p>{{ content }}</p>{% endif %}
{% endfor %}
</body>
</html>
""")


class _Table(HTMLParser):
    """Rewrites a table: the tags of `TAGS` without their attributes, everything else as text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.open: list[str] = []
        self.silent = 0  # depth of enclosing elements whose text is left out (scripts, styles)

    def handle_starttag(self, tag, attributes):
        if tag in NO_TEXT:
            self.silent += 1
        elif tag in TAGS:
            self.parts.append(f"<{tag}>")
            self.open += [] if tag == "br" else [tag]

    def handle_endtag(self, tag):
        if tag in NO_TEXT:
            self.silent = max(0, self.silent - 1)
        elif tag in self.open:
            while (last := self.open.pop()) != tag:
                self.parts.append(f"</{last}>")
            self.parts.append(f"</{tag}>")

    def handle_data(self, data):
        if not self.silent:
            self.parts.append(html.escape(data))


def table_of(text: str) -> Html:
    """The table in a notebook's output, rewritten with rows, cells and text only: other elements
    become text, attributes, scripts and styles are left out.
    """
    parser = _Table()
    parser.feed(text)
    parser.close()
    ends = (f"</{tag}>" for tag in reversed(parser.open))
    return Html("".join([*parser.parts, *ends]))


def page(
    title: str,
    parts: Mapping[str, pd.DataFrame | str],
    reload: float = 0,
    links: Mapping[str, str] | None = None,
    contents: bool = False,
) -> str:
    """One HTML page: a heading and a table, a sentence or `Html` each. Every other text is escaped.

    A table without rows whose ``attrs["nothing"]`` is a sentence is replaced by that sentence.

    reload : s after which a browser loads it again, 0 for never. links : text of a table's cell ->
        file that it links. contents : whether a list of the headings stands first.
    """
    shown = [
        (heading, _part(content, f"t{number}", links or {}))
        for number, (heading, content) in enumerate(parts.items())
    ]
    return PAGE_TEMPLATE.render(
        title=title,
        parts=shown,
        anchors={heading: f"h{number}" for number, heading in enumerate(parts)},
        contents=contents,
        reload=f"{reload:g}" if reload else "",
        policy=Html(POLICY),
        style=Html(STYLE),
    )


def _part(content: pd.DataFrame | str, name: str, links: Mapping[str, str]) -> str:
    """Columns with check-sums, addresses or paths may break inside a word, and all columns of a
    table with more than `MANY_COLUMNS`, so that it fits on the page.
    """
    if isinstance(content, pd.DataFrame) and content.empty and content.attrs.get("nothing"):
        content = content.attrs["nothing"]
    if isinstance(content, pd.DataFrame):
        wide = [
            index
            for index, column in enumerate(content, start=1)
            if any(len(word) > LONG for value in content[column] for word in str(value).split())
        ]
        style = "".join(
            f"#{name} td:nth-child({index}){{overflow-wrap:anywhere;min-width:14em}}"
            for index in wide
        )
        if content.shape[1] > MANY_COLUMNS:
            style = f"#{name} td,#{name} th{{overflow-wrap:anywhere}}"
        shown = content.map(partial(_cell_text, links=links)).rename(
            columns=partial(_cell_text, links={})
        )
        text = shown.to_html(index=False, border=0, na_rep="", table_id=name, escape=False)
        return Html(f"<style>{style}</style>{text}")
    return content


def _cell_text(value: object, links: Mapping[str, str]) -> object:
    """A table's cell: text is escaped, and a link where `links` has it."""
    if isinstance(value, bool | int | float) or value is None or pd.api.types.is_number(value):
        return value
    value = str(value)  # also of a list, whose items may come from anywhere
    text = html.escape(value, quote=False)
    if value not in links:
        return text
    return f"<a href='{html.escape(quote(links[value]))}'>{text}</a>"
