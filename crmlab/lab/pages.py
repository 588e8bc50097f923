"""HTML that needs nothing but itself: no script, no font, no style from another host. Formulas become MathML."""

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from crmlab.lab.files import write_text
from crmlab.lab.results import ChapterResult, Run

# nbconvert's plainest template, with solutions and records folded and the hidden sources left out
_TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{% block any_cell scoped %}
{%- if 'solution' in cell.metadata.get('tags', []) -%}
<details><summary>Solution</summary>{{ super() }}</details>
{%- elif 'records' in cell.metadata.get('tags', []) -%}
<details><summary>Numbers recorded</summary>{{ super() }}</details>
{%- else -%}
{{ super() }}
{%- endif -%}
{% endblock any_cell %}
{% block input_group %}
{%- if not cell.metadata.get('jupyter', {}).get('source_hidden') and 'checker' not in cell.metadata.get('tags', []) -%}
{{ super() }}
{%- endif -%}
{% endblock input_group %}
"""


def write_chapter(notebook: Path, page: Path, title: str) -> None:
    """Write an executed notebook as one HTML page."""
    node = nbformat.read(notebook, as_version=4)
    for cell in node.cells:
        cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
        for output in cell.get("outputs", ()):
            _formula_as_html(output.get("data", {}))
    exporter = _Exporter(raw_template=_TEMPLATE, exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(node)
    write_text(page, _page(title, f'<nav><a href="../index.html">All chapters of this run</a></nav>\n{body}'))


def write_index(run: Run, head: Mapping[str, Any]) -> None:
    """Write the page over a run: chapters, tables, exercises, records, parameters."""
    versions = f"crmlab {head['crmlab']}, Python {head['python']}, {head['platform']}"
    quick = "; quick values" if head["quick"] else ""
    parameters = [(one.chapter, name, value) for one in run.results for name, value in one.parameters.items()]
    sections = [
        f"<h1>Run {escape(run.folder.name)}</h1>",
        f'<p class="soft">{escape(versions + quick)}. <a href="provenance.json">Provenance</a></p>',
        _table(["Chapter", "Status", "Seconds", "Notebook"], [_chapter_row(one) for one in run.results]),
        *_section("Tables to take home", ["File"], [[_link(f"tables/{one.name}", one.name)] for one in run.tables]),
        *_section(
            "Exercises",
            ["Exercise", "Answer"],
            [_cells(one.id, "right" if one.right else "not yet") for one in run.checks.itertuples()],
        ),
        *_section("Records", ["Chapter", "Name", "Value", "Unit", "Published"], _record_rows(run)),
        *_section("Parameters", ["Chapter", "Parameter", "Value"], [_cells(*one) for one in parameters]),
    ]
    write_text(run.folder / "index.html", _page(f"Run {run.folder.name}", "\n".join(sections)))


class _Renderer(IPythonRenderer):
    """Markdown whose formulas are MathML."""

    def block_math(self, body: str) -> str:
        return _mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Render a text cell."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
        return str(MarkdownWithMath(renderer=renderer).render(source))


@cache
def _mathml(latex: str, display: str) -> str:
    from latex2mathml.converter import convert

    try:
        return str(convert(latex.strip(), display=display))
    except Exception:  # a formula that the converter does not know is shown as it is written
        return f'<code class="math">{escape(latex.strip())}</code>'


def _formula_as_html(data: dict[str, Any]) -> None:
    """Give an output that is only a formula a form that needs no script."""
    latex = data.get("text/latex")
    if latex and "text/html" not in data:
        data["text/html"] = _mathml("".join(latex).strip().strip("$"), "block")


def _page(title: str, body: str) -> str:
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{style}{_code_style()}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


@cache
def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    return str(HtmlFormatter(style="default").get_style_defs(".highlight"))


def _chapter_row(result: ChapterResult) -> list[str]:
    name = f"{result.chapter} {result.title}"
    status = f"{result.status}: {result.message}" if result.message else result.status
    return [
        _link(result.html, name) if result.html else escape(name),
        f'<span class="{escape(result.status)}">{escape(status)}</span>',
        f"{result.seconds:.1f}" if result.seconds else "",
        _link(result.notebook, "notebook") if result.notebook else "",
    ]


def _record_rows(run: Run) -> list[list[str]]:
    return [_cells(one.chapter, one.name, one.text, one.unit, one.published) for one in run.records.itertuples()]


def _section(title: str, head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"<h2>{title}</h2>", _table(head, rows)] if rows else []


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{one}</th>" for one in head)
    body = "\n".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cells(*values: object) -> list[str]:
    return [escape(str(one)) for one in values]


def _link(path: str, text: str) -> str:
    return f'<a href="{escape(quote(path))}">{escape(text)}</a>'
