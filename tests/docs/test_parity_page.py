"""`docs/dagster-parity.md` names tests that are there."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    page = (TESTS.parent / "docs" / "dagster-parity.md").read_text()

    named = NAMED.findall(page)

    assert len(named) > 40
    assert [f"{file}::{test}" for file, test in named if test not in functions_in(TESTS / file)] == []


def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
