"""Datasets that dlt 1.31 made of many shapes go on with this package as they would with dlt: nothing lost, nothing doubled.

`made_by_dlt/` was recorded from dlt by `record.py`; the expected rows are those that dlt itself has after the second load.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from look import rows_of
from shapes import PIPELINE, SHAPES

import dlt_orchestrate as dlt

MADE = Path(__file__).with_name("made_by_dlt")


@pytest.fixture
def taken_over(project: Path, shape: str, monkeypatch: pytest.MonkeyPatch) -> dlt.Pipeline:
    """The pipeline whose dataset dlt made by the first load of the shape."""
    file = project / "made.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute((MADE / f"{shape}.sql").read_text(encoding="utf-8"))
    for name, value in SHAPES[shape].environment.items():
        monkeypatch.setenv(name, value)
    dataset = expected(shape)["dataset"]
    return dlt.pipeline(PIPELINE, destination=dlt.destinations.duckdb(file), dataset_name=dataset)


def expected(shape: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MADE / f"{shape}.json").read_text(encoding="utf-8"))
    return found


def rows(pipeline: dlt.Pipeline) -> dict[str, list[list[str]]]:
    with duckdb.connect(str(pipeline.destination.path)) as connection:
        return rows_of(connection, pipeline.dataset_name)


def orphans(pipeline: dlt.Pipeline) -> int:
    """Nested rows without their parent."""
    dataset, count = pipeline.dataset(), 0
    for schema in pipeline.schemas.values():
        for table in schema.tables.values():
            if table.parent is not None:
                sql = f'SELECT count(*) FROM "{table.name}" c ANTI JOIN "{table.parent}" p ON c._dlt_parent_id = p._dlt_id'
                count += dataset.query(sql).fetchall()[0][0]
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_a_dataset_of_dlt_goes_on_as_it_would_with_dlt(shape: str, taken_over: dlt.Pipeline) -> None:
    assert not taken_over.first_run

    taken_over.run(SHAPES[shape].source(dlt, 2), **SHAPES[shape].arguments)

    assert rows(taken_over) == expected(shape)["rows"]
    assert orphans(taken_over) == 0
