"""Names of any kind name what they name and nothing else: pipelines, datasets, sources, resources, tables, columns."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import InvalidPipelineNameError
from dlt_orchestrate.load.scratch import folder_name

HOSTILE = [
    'a"; DROP TABLE canary.kept; --',
    "'; DELETE FROM canary.kept; --",
    "x\ny\r\nz",
    "nul\x00inside",
    "../../../etc/passwd",
    "\uff53\uff45\uff4c\uff45\uff43\uff54",  # full-width letters
    "\u0430dmin",  # begins with a Cyrillic letter
    "\u200bzero width",
    "\u202eright to left",
    "select",
    "$1 {0} %s ?",
    '""" \\" \\',
    "_dlt_loads",
    "a" * 300,
    " ",
    "🫖",
]
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
CONVENTIONS = st.sampled_from(["unicode_snake_case", "direct", "snake_case"])


def loaded(folder: Path, names: dict[str, str], convention: str) -> Any:
    """A file with a table beside the dataset, and a pipeline that has loaded two rows by these names."""
    file = folder / "some.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA canary")
        connection.execute("CREATE TABLE canary.kept AS SELECT 42 AS answer")
    pipeline = dlt.Pipeline(
        names["pipeline"],
        destination=dlt.destinations.duckdb(file, naming_convention=convention),
        dataset_name=f"d{names['dataset']}",
    )

    @dlt.source(name=names["source"])
    def hostile() -> Any:
        @dlt.resource(name=names["resource"], table_name=f"t{names['table']}")
        def rows(n: Any = dlt.sources.incremental("n", initial_value=0)) -> Any:
            yield [
                {"n": 1, f"c{names['column']}": "first", f"l{names['column']}": [{names["column"]: names["column"]}]},
                {"n": 2, f"c{names['column']}": names["column"]},
            ]

        return rows

    pipeline.run(hostile())
    return pipeline, hostile


def canary(pipeline: Any) -> Any:
    with duckdb.connect(str(pipeline.destination.path)) as connection:
        return connection.execute("SELECT * FROM canary.kept").fetchall()


PARTS = ("pipeline", "dataset", "source", "resource", "table", "column")


@settings(max_examples=6)
@given(names=st.fixed_dictionaries(dict.fromkeys(PARTS, NAMES)), convention=CONVENTIONS)
@example(names=dict.fromkeys(PARTS, HOSTILE[0]), convention="direct")
@example(names=dict.fromkeys(PARTS, HOSTILE[1]), convention="direct")
def test_whatever_names_are_made_of_they_only_name(names: dict[str, str], convention: str) -> None:
    try:
        dlt.Pipeline(names["pipeline"])
    except InvalidPipelineNameError:
        names = {**names, "pipeline": "p"}
    with tempfile.TemporaryDirectory() as temporary:
        pipeline, hostile = loaded(Path(temporary), names, convention)

        report = pipeline.run(hostile()).resources[names["resource"]]
        assert (report.rows_inserted, pipeline.dataset()[report.table].count()) == (0, 2)
        assert sum(pipeline.dataset().row_counts().values()) == 3
        values = pipeline.dataset()[report.table].arrow().to_pylist()
        assert {value for row in values for value in row.values()} >= {"first", names["column"]}

        dropped = pipeline.drop(names["resource"])
        assert dropped.load_id is not None
        assert pipeline.dataset().row_counts() == {}
        assert canary(pipeline) == [(42,)]


@given(NAMES, NAMES)
def test_folders_of_different_names_differ_and_stay_where_they_are(one: str, other: str) -> None:
    names = [folder_name(one), folder_name(other)]

    assert (names[0] == names[1]) is (one == other)
    assert all(Path(name).name == name and name.isascii() and len(name) < 60 for name in names)
    assert not any(name.startswith(".") for name in names)


@pytest.mark.parametrize("name", ["../up", "a/b", "..", "C:\\x", "nul\x00"])
def test_a_pipeline_whose_name_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidPipelineNameError):
        dlt.pipeline(name, destination="duckdb")
