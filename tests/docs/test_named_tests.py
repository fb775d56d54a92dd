"""Pages that name tests name tests that are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "dagster-parity.md"
NAMED = re.compile(r"`(?P<file>[\w/.]*)::(?P<test>test_\w+)`")


def named_tests(page: str) -> list[tuple[str, str]]:
    """File and name of each test that a page names; a name without a file is in the file of the one before."""
    found: list[tuple[str, str]] = []
    for named in NAMED.finditer(page):
        found.append((named["file"] or found[-1][0], named["test"]))
    return found


def test_every_test_that_the_page_on_dagster_names_is_there() -> None:
    named = named_tests(PAGE.read_text(encoding="utf-8"))

    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (TESTS / file).exists() or f"def {test}(" not in (TESTS / file).read_text(encoding="utf-8")
    ]

    assert len(named) > 40
    assert missing == []
