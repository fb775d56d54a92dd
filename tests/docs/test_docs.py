"""The pages of README.md and docs/ are true: their code runs, prints what they show, and their links lead somewhere.

A page's Python blocks run in order, in an empty folder, against the sample API in place of GitHub. A `text` block is the
output of the block before it; load ids, times and paths in it are examples. A `toml` or `yaml` block that begins
with the name of a file is saved there. A shell block runs only if its output is shown. The comment `<!-- not run: why -->`
before a Python block leaves it out, and `<!-- run` hides a block from readers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from dlt_orchestrate.load.system_tables import SYSTEM_TABLES
from dlt_orchestrate.testing.sample_api import SampleApi

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:<!-- (?P<skipped>not run: .*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$"
    r"|<!-- run\n(?P<hidden>.*?)^-->$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")

_EXAMPLES = {
    r"\b\d{10}\.\d+": "<load id>",
    r"\b\d+\.\d+ seconds": "<seconds>",
    r"(duckdb:///)?/[\w/.-]*/(?=[\w-]+\.(?:duckdb|toml|html))": "<folder>/",
    r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: UTC|\+00:00|\+0000)?": "<moment>",
    r"(?<=\S) {2,}": "  ",
    r"[ \t]+$": "",
}
"""What differs from run to run, and what stands for it when outputs are compared."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page that is run or saved, or the output of the one before."""

    language: str
    text: str
    place: str
    is_skipped: bool


def blocks_of(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(source):
        place = f"{page.name}, line {source.count(chr(10), 0, match.start()) + 1}"
        language, text = (match["language"], match["text"]) if match["language"] else ("python", match["hidden"])
        found.append(Block(language, text, place, bool(match["skipped"])))
    return found


def steps_of(page: Path) -> Iterator[tuple[Block, str | None]]:
    """The blocks to run, each with the output that the page shows."""
    blocks = blocks_of(page)
    for number, block in enumerate(blocks):
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        shown = following.text if following is not None and following.language == "text" else None
        runs = block.language in ("python", "toml", "yaml") or (block.language == "sh" and shown is not None)
        if runs and not block.is_skipped:
            yield block, shown


def with_examples_replaced(output: str) -> str:
    for pattern, stand_in in _EXAMPLES.items():
        output = re.sub(pattern, stand_in, output, flags=re.MULTILINE)
    return output.strip()


PAGES_WITH_CODE = [page for page in PAGES if any(steps_of(page))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_every_block_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, project: Path, sample_api: SampleApi
) -> None:
    steps = list(steps_of(page))
    replaced = {"https://api.github.com": sample_api.url, "dlt-hub/dlt": "acme/teahouse", "ghp_A...3aRY": sample_api.token}

    def as_run(text: str) -> str:
        for shown, meant in replaced.items():
            text = text.replace(shown, meant)
        return text

    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("page_runner.py"))],
        input=json.dumps([asdict(block) | {"text": as_run(block.text)} for block, _ in steps]),
        capture_output=True,
        text=True,
        cwd=project,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for (block, shown), output in zip(steps, json.loads(done.stdout), strict=True):
        if shown is not None:
            assert with_examples_replaced(output) == with_examples_replaced(as_run(shown)), f"{block.place}:\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    targets = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]

    assert [link for link in targets if not (page.parent / link).exists() and not link.endswith(".png")] == []


def test_the_page_on_loading_names_every_column_of_the_system_tables() -> None:
    text = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(_dlt_\w+)` \| (.*?) \|", text, re.MULTILINE))

    assert {name: re.findall(r"`(\w+)`", rows.get(name, "")) for name in SYSTEM_TABLES} == {
        name: [column.name for column in columns] for name, columns in SYSTEM_TABLES.items()
    }
