"""The page that `pipeline NAME show` writes: one file without scripts, fonts or anything else from a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from dlt_orchestrate.cli.overview import Overview, TableFacts
from dlt_orchestrate.cli.preview import ROWS_READ, Sample
from dlt_orchestrate.cli.text import moment

_LOADS_SHOWN = 50
_LONGEST_VALUE = 1_000
_LONGEST_WITHOUT_TITLE = 40

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; --faint: #57606a; --accent: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #161b22; --faint: #9198a1; --accent: #6ea8fe; }
}
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 1.5rem 2rem 4rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; }
.faint { color: var(--faint); }
code { font: 12.5px/1.4 ui-monospace, monospace; }
a { color: var(--accent); text-decoration: none; }
.wide { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; max-height: 34rem; max-width: 100%;
  overflow: auto; width: fit-content; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); max-width: 26rem; overflow: hidden; padding: .3rem .7rem; text-align: left;
  text-overflow: ellipsis; vertical-align: top; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
thead th { background: var(--soft); position: sticky; top: 0; }
td.list { white-space: normal; }
.number { font-variant-numeric: tabular-nums; text-align: right; }
.null { color: var(--faint); font-style: italic; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; padding: .5rem .9rem; }
details details { border: 0; margin: 0; padding: .2rem 0; }
summary { cursor: pointer; }
summary b { margin-right: .6rem; }
"""


def page(overview: Overview, samples: Mapping[str, Sample]) -> str:
    """The whole page. Everything that comes from the destination is escaped."""
    name = escape(overview.pipeline_name)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{name}</h1>",
        f"<p>Dataset <b>{escape(overview.dataset_name)}</b> in <code>{escape(overview.location)}</code></p>",
        *_overview_of_tables(overview),
        *_state(overview),
        *_loads(overview),
        *_rejects(overview),
        "<h2>Columns and first rows</h2>",
        *(line for table in overview.tables for line in _table(table, samples[table.name])),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _overview_of_tables(overview: Overview) -> Iterable[str]:
    yield "<h2>Tables</h2>"
    yield _grid(
        ["table", "rows", "columns"],
        [
            [_link(table, indent="&emsp;&emsp;" * table.depth), _number(table.rows), _number(len(table.columns))]
            for table in overview.tables
        ],
    )


def _state(overview: Overview) -> Iterable[str]:
    yield "<h2>Incremental cursors</h2>"
    rows = [
        [_cell(fact.source), _cell(fact.resource), _cell(fact.key), _cell(fact.value)]
        for fact in overview.state
        if fact.is_cursor
    ]
    yield _grid(["source", "resource", "cursor", "last value"], rows)
    other = [
        [_cell(fact.source), _cell(fact.resource), _cell(fact.key), _cell(fact.value)]
        for fact in overview.state
        if not fact.is_cursor
    ]
    if other:
        yield "<h2>Other state</h2>"
        yield _grid(["source", "resource", "key", "value"], other)


def _loads(overview: Overview) -> Iterable[str]:
    shown = overview.loads[:_LOADS_SHOWN]
    more = f' <span class="faint">the newest {len(shown)} of {len(overview.loads)}</span>'
    yield f"<h2>Loads{more if len(shown) < len(overview.loads) else ''}</h2>"
    rows = []
    for load in shown:
        by_table = ", ".join(f"{table} {rows:,}" for table, rows in (load.rows or {}).items() if rows)
        total = _number(sum(load.rows.values())) if load.rows is not None else _cell("?")
        rows.append(
            [
                _cell(load.load_id),
                _cell(load.sources),
                _cell(moment(load.loaded_at)),
                total,
                f'<td class="list">{escape(by_table)}</td>',
            ]
        )
    yield _grid(["load id", "source", "time", "rows", "rows by table"], rows)


def _rejects(overview: Overview) -> Iterable[str]:
    yield "<h2>Rejected rows</h2>"
    rows = [
        [_cell(reject.resource), _cell(reject.column), _cell(reject.cause), _number(reject.rows)]
        for reject in overview.rejects
    ]
    yield _grid(["resource", "column", "cause", "rows"], rows)


def _table(table: TableFacts, sample: Sample) -> Iterable[str]:
    title = f"<b>{escape(table.name)}</b>"
    yield f'<details id="{_anchor(table)}"{" open" if table.depth == 0 else ""}>'
    yield f'<summary>{title}<span class="faint">{table.rows:,} rows, {len(table.columns)} columns</span></summary>'
    yield f'<details><summary class="faint">{len(table.columns)} columns with their types</summary>'
    yield _grid(["column", "type"], [[_cell(name), _cell(kind)] for name, kind in table.columns.items()])
    yield "</details>"
    if len(sample.rows) < table.rows:
        yield f'<p class="faint">The first {ROWS_READ} rows:</p>'
    yield _grid(sample.columns, [[_cell(value) for value in row] for row in sample.rows])
    yield "</details>"


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    if not rows:
        return '<p class="faint">None.</p>'
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(value: str | None) -> str:
    if value is None:
        return '<td class="null">null</td>'
    shown = escape(value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…")
    # What does not fit into the width of the cell is shown while the pointer rests on it.
    return f'<td title="{shown}">{shown}</td>' if len(value) > _LONGEST_WITHOUT_TITLE else f"<td>{shown}</td>"


def _number(value: int) -> str:
    return f'<td class="number">{value:,}</td>'


def _link(table: TableFacts, indent: str) -> str:
    return f'<td>{indent}<a href="#{_anchor(table)}">{escape(table.name)}</a></td>'


def _anchor(table: TableFacts) -> str:
    return escape(f"table-{table.name}", quote=True)
