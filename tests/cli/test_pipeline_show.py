"""`pipeline NAME show`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import duckdb
from shop_to_show import ORDERS

import dlt_orchestrate as dlt


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def test_the_page_holds_schema_rows_state_and_loads(tool, loaded, project) -> None:
    shown = tool("pipeline", "warehouse", "show", "--output", "page.html")

    page = Page(Path("page.html").read_text(encoding="utf-8"))
    assert shown.exit_code == 0
    assert shown.output.endswith(f"{project}/page.html\n")
    words = [
        "warehouse", "raw", f"duckdb:///{project}/warehouse.duckdb", "orders", "orders__lines", "orders__lines__tags",
        "visits", "VARCHAR", "placed_on", "2026-01-02", "last_seen", "2026-01-07", "hot", "/tea",
        loaded.dataset().latest_load_id(),
    ]  # fmt: skip
    assert [word for word in words if f"\n{word}\n" not in page.text] == []


def test_the_page_is_one_file_without_scripts_that_loads_nothing(tool, loaded) -> None:
    tool("pipeline", "warehouse", "show", "--output", "page.html")

    text = Path("page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_values_are_shown_as_they_are_and_never_become_markup(tool, loaded) -> None:
    printed = tool("pipeline", "warehouse", "show", "--output", "page.html").output

    page = Page(Path("page.html").read_text(encoding="utf-8"))
    assert ORDERS[1]["note"] in page.text
    assert "\x1b" not in printed


def test_names_never_become_markup(tool, project) -> None:
    dlt.pipeline("p", destination="duckdb").run([{"a": 1}], table_name="t")
    with duckdb.connect("p.duckdb") as connection:
        connection.execute("""ALTER TABLE p_dataset.t ADD COLUMN "<b title='x'>&amp;" INTEGER""")

    tool("pipeline", "p", "show", "--output", "page.html")

    assert "\n<b title='x'>&amp;\n" in Page(Path("page.html").read_text(encoding="utf-8")).text


def test_a_table_shows_its_first_hundred_rows(tool, project) -> None:
    dlt.pipeline("p", destination="duckdb").run([{"word": f"word-{n}"} for n in range(150)], table_name="t")

    tool("pipeline", "p", "show", "--output", "page.html")

    text = Path("page.html").read_text(encoding="utf-8")
    assert re.findall(r"<td>(word-\d+)</td>", text) == [f"word-{n}" for n in range(100)]
    assert "150 rows" in text


def test_every_type_can_be_shown(tool, project) -> None:
    row = {
        "moment": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "day": date(2026, 1, 2), "clock": time(3, 4, 5),
        "amount": Decimal("1234.50"), "octets": b"\x00\xffabc", "flag": True, "ratio": 0.1, "big": 2**70, "nothing": None,
    }  # fmt: skip
    dlt.pipeline("p", destination="duckdb").run([row], table_name="t")

    assert tool("pipeline", "p", "show", "--output", "page.html").exit_code == 0
    text = Page(Path("page.html").read_text(encoding="utf-8")).text
    values = ["2026-01-02 03:04:05.678901+00", "03:04:05", "1234.50", "true", "0.1", str(2**70)]
    assert [value for value in values if f"\n{value}" not in text] == []


def test_without_a_name_the_page_is_a_new_file_that_nobody_else_can_read(run_cli, loaded) -> None:
    shown = run_cli("pipeline", "warehouse", "show").stdout

    path = Path(shown.splitlines()[-1].rpartition(": ")[2])
    assert path.is_file()
    assert path.parent.stat().st_mode & 0o077 == 0
    path.unlink()
    path.parent.rmdir()


def test_the_first_rows_are_printed(tool, loaded) -> None:
    printed = tool("pipeline", "warehouse", "show", "--output", "page.html").output

    assert "visits: 2 row(s), 3 columns\n  page\n  /\n  /tea\n" in printed
