"""A load of many files is committed group by group; one that is killed goes on after the groups committed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, read_csv, read_jsonl

FILES, PER_PAGE = 60, 5

LOAD = f"""
import os, signal
import dlt_orchestrate as dlt
from dlt_orchestrate.sources.filesystem import filesystem, read_jsonl

left = int(os.environ["DIES_AFTER"])

def dying(record):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return record

files = filesystem("in", load_once="version", files_per_page={PER_PAGE}) | read_jsonl()
pipeline = dlt.pipeline("files", destination="duckdb", dataset_name="data")
pipeline.run(files.with_name("rows").add_map(dying), checkpoint={{"pages": 2}})
"""


def killed_after(rows: int) -> int:
    """A load in a process that kills itself at a row; its exit code."""
    environment = {**os.environ, "DIES_AFTER": str(rows)}
    return subprocess.run([sys.executable, "-c", LOAD], env=environment, check=False, timeout=120).returncode


def test_a_killed_load_of_many_files_goes_on_after_the_groups_committed(inbox) -> None:
    for number in range(FILES):
        inbox.drop(f"{number:03}.jsonl", json.dumps({"id": number}) + "\n", at=1_000 + number)

    assert killed_after(rows=37) == -signal.SIGKILL

    committed = inbox.rows("id")
    assert committed == list(range(30))
    info = inbox.pipeline.run((filesystem(str(inbox.path), load_once="version") | read_jsonl()).with_name("rows"))
    (last,) = info.loads_ids
    assert inbox.rows("id") == list(range(FILES))
    loaded = inbox.pipeline.dataset().query(f"SELECT id FROM rows WHERE _dlt_load_id = '{last}' ORDER BY id").fetchall()
    assert [row[0] for row in loaded] == list(range(30, FILES))


def test_a_file_that_breaks_the_load_leaves_the_groups_before_it(inbox) -> None:
    for number in range(6):
        inbox.drop(f"{number}.csv", f"id\n{number}\n", at=number)
    inbox.drop("5.csv.gz", "no", at=9)
    files = (filesystem(str(inbox.path), load_once="name", files_per_page=2) | read_csv()).with_name("rows")

    with pytest.raises(PipelineStepFailed, match=r"5\.csv\.gz"):
        inbox.pipeline.run(files, checkpoint=1)
    assert inbox.rows("id") == list(range(6))

    inbox.path.joinpath("5.csv.gz").unlink()
    inbox.drop("6.csv", "id\n6\n", at=10)
    inbox.pipeline.run(files, checkpoint=1)
    assert inbox.rows("id") == list(range(7))


def test_bad_lines_of_each_part_are_kept_once(inbox) -> None:
    for number in range(4):
        inbox.drop(f"{number}.jsonl", f'{{"id": {number}}}\nbad {number}\n', at=number)
    files = (filesystem(str(inbox.path), load_once="name", files_per_page=1) | read_jsonl()).with_name("rows")

    inbox.pipeline.run(files, checkpoint=1)

    assert inbox.rows("id") == [0, 1, 2, 3]
    assert [json.loads(row)["text"] for row, _ in inbox.rejects()] == [f"bad {number}" for number in range(4)]


def test_without_checkpoints_all_files_are_one_commit(inbox) -> None:
    for number in range(4):
        inbox.drop(f"{number}.jsonl", f'{{"id": {number}}}\n', at=number)

    info = inbox.pipeline.run(filesystem(str(inbox.path), load_once="name", files_per_page=1) | read_jsonl())

    assert len(info.loads_ids) == 1
