"""A list in a list is a nested table called `list`; a key that is called so is another, within a load and over loads."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt

KEYED = {"x": {"list": [1]}}
IN_LIST = {"x": [[2]]}
KEYED_IN_LIST = {"x": [{"list": [3]}]}


def nested_values(pipeline: dlt.Pipeline) -> dict[str, list[int]]:
    """The values of each nested table below `r__x`, by its name without the suffix of a taken one, and its parent."""
    dataset = pipeline.dataset()
    found: dict[str, list[int]] = {}
    for table in pipeline.default_schema.tables.values():
        if table.name.startswith("r__x__list"):
            rows = dataset.query(f'SELECT value FROM "{table.name}" ORDER BY 1').fetchall()
            found[repr(table.path[2])] = [value for (value,) in rows]
    return found


@pytest.mark.parametrize("order", list(permutations([KEYED, IN_LIST])), ids=["the key first", "the list first"])
@pytest.mark.parametrize("is_one_load", [True, False])
def test_a_list_in_a_list_and_a_key_named_list_are_two_tables(order, is_one_load, tmp_path: Path) -> None:
    def pipeline() -> dlt.Pipeline:
        return dlt.pipeline("p", destination=dlt.destinations.duckdb(str(tmp_path / "p.duckdb")), dataset_name="d")

    loads = [list(order)] if is_one_load else [[record] for record in order]
    for records in [*loads, *loads]:
        pipeline().run(records, table_name="r")

    assert nested_values(pipeline()) == {"'list'": [1, 1], "NoKey('list')": [2, 2]}
    assert [name for name in pipeline().default_schema.tables if name.startswith("r__x__list_")] != []


def test_a_list_and_an_object_with_a_key_named_list_in_one_list_are_two_tables(tmp_path: Path) -> None:
    pipeline = dlt.pipeline("p", destination=dlt.destinations.duckdb(str(tmp_path / "p.duckdb")), dataset_name="d")

    info = pipeline.run([{"x": [*IN_LIST["x"], *KEYED_IN_LIST["x"]]}], table_name="r")

    assert nested_values(pipeline) == {"'list'": [3], "NoKey('list')": [2]}
    assert "The table name 'r__x__list' is taken by another table" in "".join(info.resources["r"].warnings)


def test_lists_in_lists_alone_are_named_as_by_dlt(tmp_path: Path) -> None:
    pipeline = dlt.pipeline("p", destination=dlt.destinations.duckdb(str(tmp_path / "p.duckdb")), dataset_name="d")

    pipeline.run([{"x": [[[1]]]}], table_name="r")

    assert list(pipeline.default_schema.tables) == ["r", "r__x", "r__x__list", "r__x__list__list"]


def test_lists_in_lists_go_on_in_the_tables_that_dlt_made(tmp_path: Path) -> None:
    file = str(tmp_path / "p.duckdb")
    pipeline = dlt.pipeline("p", destination=dlt.destinations.duckdb(file), dataset_name="d")
    pipeline.run([IN_LIST], table_name="r")
    with duckdb.connect(file) as connection:  # dlt writes no paths
        (text,) = connection.execute("SELECT schema FROM d._dlt_version").fetchone()
        document = json.loads(text)
        for table in document["tables"].values():
            table.pop("x-path", None)
            for column in table["columns"].values():
                column.pop("x-path", None)
        connection.execute("UPDATE d._dlt_version SET schema = ?", [json.dumps(document)])

    pipeline.run([IN_LIST], table_name="r")

    assert pipeline.dataset().query("SELECT value FROM r__x__list").fetchall() == [(2,), (2,)]
    assert list(pipeline.default_schema.tables) == ["r", "r__x", "r__x__list"]
