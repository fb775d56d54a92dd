"""Tables on the terminal, and the same as plain text where the output goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click

LONGEST_CELL = 60
_ENDLESS = 10_000


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, longest: int = LONGEST_CELL) -> None:
    """Print rows in columns; numbers stand to the right, longer cells are cut."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    is_terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, header in enumerate(headers):
        column = [row[index] for row in rows if row[index] not in (None, "")]
        is_number = bool(column) and all(isinstance(value, int) for value in column)
        table.add_column(Text(header), justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell(value, longest)) for value in row))
    console = Console() if is_terminal else Console(width=_ENDLESS, no_color=True)
    with console.capture() as captured:
        console.print(Padding(table, (0, 0, 0, 2), expand=False))
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def cell(value: object, longest: int = LONGEST_CELL) -> str:
    """A value on one line of bounded length, safe to print.

    >>> cell("two\\nlines"), cell("\\x1b[31mred"), cell(1234567), cell(None), cell("abcdef", 4)
    ('two\\\\nlines', '\\\\x1b[31mred', '1,234,567', '', 'abc…')
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case datetime():
            return moment(value)
        case _:
            text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(value))
            return text if len(text) <= longest else f"{text[: longest - 1]}…"


def moment(value: datetime) -> str:
    """A moment to the second, as people read it.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 1, 5, 8, 0, 7, 123, tzinfo=UTC))
    '2026-01-05 08:00:07 UTC'
    """
    return value.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
