"""An environment that an extra makes has what is imported in it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {"dlt_orchestrate", *(path.stem for path in TESTS.glob("*.py"))}


def test_the_executors_extra_has_what_the_fixtures_of_all_tests_import() -> None:
    files = [TESTS / "conftest.py", *(TESTS / f"{name}.py" for name in OWN if (TESTS / f"{name}.py").exists())]
    distributions = packages_distributions()
    imported = {module for file in files for module in imported_by(file)} - sys.stdlib_module_names - OWN
    needed = {normal(distributions[module][0]) for module in imported}

    assert needed - {normal(name) for name in [*PROJECT["dependencies"], *required_by("executors")]} == set()


def imported_by(file: Path) -> Iterator[str]:
    """The modules that a file imports as soon as it is imported itself, without those below them."""
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def required_by(extra: str) -> Iterator[str]:
    """The requirements of an extra, and of the extras of ours that it names."""
    for requirement in PROJECT["optional-dependencies"][extra]:
        if ours := re.fullmatch(r"dlt-orchestrate\[(.*)\]", requirement):
            for named in ours[1].split(","):
                yield from required_by(named)
        else:
            yield requirement


def normal(requirement: str) -> str:
    """The name of a distribution without version and extras, as package registries compare it."""
    name = re.split(r"[\[<>=~! ;]", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
