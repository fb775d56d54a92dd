"""Tables that several resources fill: no row of one is lost to another, and each is counted for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, TableConflictError
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.protocols.destination import Destination

DESTINATIONS: dict[str, Callable[[Path], Destination]] = {
    "memory": lambda _: dlt.destinations.memory(),
    "duckdb": lambda folder: dlt.destinations.duckdb(folder / "shared.duckdb"),
}


@pytest.fixture(params=DESTINATIONS)
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline("shared", destination=DESTINATIONS[request.param](tmp_path), dataset_name="d")


def filling(name: str, rows: Any, disposition: str = "replace", **hints: Any) -> Any:
    return dlt.resource(rows, name=name, write_disposition=disposition, table_name="t", **hints)


def source(name: str, *resources: Any) -> Any:
    return dlt.source(lambda: list(resources), name=name)()


def ids(pipeline: dlt.Pipeline, table: str = "t") -> list[int]:
    return sorted(row[0] for row in pipeline.dataset()[table].select("id").fetchall())


def conflict(pipeline: dlt.Pipeline, *data: Any, **settings: Any) -> str:
    """The message of a run that is refused since rows would be lost."""
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(list(data), **settings)
    cause = caught.value.__cause__
    assert isinstance(cause, TableConflictError)
    assert cause.table == "t"
    return str(cause)


# --- who may replace -----------------------------------------------------------------------------------------------


def test_resources_that_replace_one_table_together_keep_the_rows_of_both(pipeline: dlt.Pipeline) -> None:
    for first, second in ([1, 2], [3, 4]):
        pipeline.run(source("s", filling("a", [{"id": first}]), filling("b", [{"id": second}])))
        assert ids(pipeline) == [first, second]


@pytest.mark.parametrize("alone", [True, False], ids=["one runs alone", "a package each"])
def test_replacing_a_table_with_rows_of_another_resource_is_refused(pipeline: dlt.Pipeline, alone: bool) -> None:
    pipeline.run(source("s", filling("a", [{"id": 1}]), filling("b", [{"id": 2}])))

    again = [filling("a", [{"id": 3}]), filling("b", [{"id": 4}])]
    message = conflict(pipeline, source("s", *again[:1] if alone else again), commit="resource")

    assert "Table 't'" in message
    assert "of resource 'a' (source 's') would delete its rows" in message
    assert "some are of resource 'b'" in message
    assert "commit='run'" in message
    assert "table_name" in message
    assert ids(pipeline) == [1, 2]


def test_a_resource_that_failed_does_not_lose_its_rows_to_one_that_replaces(pipeline: dlt.Pipeline) -> None:
    def failing() -> Any:
        yield {"id": 3}
        raise ValueError("gone")

    pipeline.run(source("s", filling("a", [{"id": 1}]), filling("b", [{"id": 2}])))
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(source("s", filling("a", failing), filling("b", [{"id": 4}])))

    assert set(caught.value.resources) == {"a", "b"}
    assert ids(pipeline) == [1, 2]


def test_rows_that_were_appended_before_are_not_replaced_by_another_resource(pipeline: dlt.Pipeline) -> None:
    pipeline.run(source("s", filling("a", [{"id": 1}], "append")))
    both = source("s", filling("a", [{"id": 2}], "append"), filling("b", [{"id": 3}]))
    assert "some are of resource 'a'" in conflict(pipeline, both)
    assert ids(pipeline) == [1]


def test_a_resource_of_another_source_counts_as_another(pipeline: dlt.Pipeline) -> None:
    pipeline.run(source("one", filling("items", [{"id": 1}])))
    assert "some are of resource 'items' (source 'one')" in conflict(pipeline, source("two", filling("items", [{"id": 2}])))
    assert ids(pipeline) == [1]


def test_a_table_that_no_longer_holds_rows_of_another_resource_can_be_replaced(pipeline: dlt.Pipeline) -> None:
    pipeline.run(source("s", filling("a", [{"id": 1}])))
    pipeline.run(source("s", filling("a", [])))
    pipeline.run(source("s", filling("renamed", [{"id": 2}])))
    pipeline.run(source("s", filling("renamed", [{"id": 3}])))
    assert ids(pipeline) == [3]


def test_a_table_that_was_emptied_by_hand_belongs_to_the_one_that_fills_it_then(tmp_path: Path) -> None:
    file = tmp_path / "shared.duckdb"
    pipeline = dlt.pipeline("shared", destination=dlt.destinations.duckdb(file), dataset_name="d")
    pipeline.run(source("s", filling("a", [{"id": 1}])))
    assert "empty the table first" in conflict(pipeline, source("s", filling("renamed", [{"id": 2}])))
    with duckdb.connect(str(file)) as connection:
        connection.execute("DELETE FROM d.t")

    for number in (2, 3, 4):
        pipeline.run(source("s", filling("renamed", [{"id": number}])))
        assert ids(pipeline) == [number]
    pipeline.run(source("s", filling("a", [{"id": 5}], "append")))
    assert "some are of resource 'a'" in conflict(pipeline, source("s", filling("renamed", [{"id": 6}])))
    assert ids(pipeline) == [4, 5]


@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_rows_of_the_same_commit_are_written_after_a_table_is_emptied(pipeline: dlt.Pipeline, disposition: str) -> None:
    added = filling("a", [{"id": 1, "tags": ["x"]}], disposition, primary_key="id")
    info = pipeline.run(source("s", added, filling("b", [{"id": 2, "tags": ["y"]}])))

    assert ids(pipeline) == [1, 2]
    assert pipeline.dataset().row_counts() == {"t": 2, "t__tags": 2}
    assert [info.resources[name].rows_inserted for name in "ab"] == [1, 1]


def test_two_sources_make_one_table_in_one_commit(pipeline: dlt.Pipeline) -> None:
    one = filling("items", [{"id": 1, "x": 1, "big": 2**60, "tags": ["x"]}])
    two = filling("items", [{"id": 2, "x": "text", "big": 0.5, "y": 2, "tags": ["y"]}])
    for _ in range(2):
        info = pipeline.run([source("one", one), source("two", two)])

    assert pipeline.dataset()["t"].select("id", "x", "x__v_text", "big", "y").fetchall() == [
        (1, 1, None, 2**60, None),
        (2, None, "text", None, 2),
    ]
    assert pipeline.dataset().row_counts() == {"t": 2, "t__tags": 2}
    assert pipeline.last_trace.last_normalize_info.row_counts == {"t": 2, "t__tags": 2}
    assert [report.rows_loaded for report in info.resources.values()] == [1, 1]


# --- what goes with the rows ---------------------------------------------------------------------------------------


def test_nested_rows_that_another_source_knows_go_with_their_parents(pipeline: dlt.Pipeline) -> None:
    other = dlt.pipeline("other", destination=pipeline.destination, dataset_name="d")
    other.run(source("one", filling("items", [{"id": 1, "tags": [{"names": ["x"]}]}])))

    pipeline.run(source("two", filling("items", [{"id": 2}])))

    assert ids(pipeline) == [2]
    assert pipeline.dataset().row_counts() == {"t": 1, "t__tags": 0, "t__tags__names": 0}


def by_kind(kinds: Sequence[str], **hints: Any) -> Any:
    rows = [{"id": number, "kind": kind, "tags": ["x"]} for number, kind in enumerate(kinds)]
    return dlt.resource(rows, name="r", table_name=lambda row: row["kind"], write_disposition="replace", **hints)


def test_a_table_that_no_row_chose_this_time_is_replaced_by_nothing(pipeline: dlt.Pipeline) -> None:
    pipeline.run(by_kind(["a", "b"]))

    info = pipeline.run(by_kind(["c"]))

    assert pipeline.dataset().row_counts() == {"a": 0, "a__tags": 0, "b": 0, "b__tags": 0, "c": 1, "c__tags": 1}
    report = info.resources["r"]
    assert (report.table, report.rows_inserted) == ("c", 1)
    assert {name: counts.deleted for name, counts in report.tables.items() if counts.deleted} == dict.fromkeys(
        ("a", "a__tags", "b", "b__tags"), 1
    )


def test_a_limited_run_leaves_the_tables_alone_that_it_did_not_reach(pipeline: dlt.Pipeline) -> None:
    pipeline.run(by_kind(["a", "b"]))

    def pages() -> Any:
        yield [{"id": 7, "kind": "a"}]
        yield [{"id": 8, "kind": "b"}]

    limited = dlt.resource(pages, name="r", table_name=lambda row: row["kind"], write_disposition="replace").add_limit(1)
    pipeline.run(limited)

    assert (ids(pipeline, "a"), ids(pipeline, "b")) == ([7], [1])


def test_one_resource_may_replace_several_tables_that_it_is_given(pipeline: dlt.Pipeline) -> None:
    items = dlt.resource([{"id": 1}], name="items", write_disposition="replace")
    pipeline.run(items, table_name="one")
    pipeline.run(items, table_name="two")
    assert (ids(pipeline, "one"), ids(pipeline, "two")) == ([1], [1])


# --- counts --------------------------------------------------------------------------------------------------------


def recorded(pipeline: dlt.Pipeline) -> dict[tuple[str, str], tuple[int, int, int]]:
    """What the latest commit record of each resource says of the table: loaded, inserted, total."""
    latest = pipeline.destination.read_state(Scope("shared", "d")).latest
    counts = {(unit.source, unit.resource): record.row_counts["t"] for unit, record in latest.items()}
    return {unit: (found["loaded"], found["inserted"], found["total"]) for unit, found in counts.items()}


def test_resources_that_fill_one_table_report_their_own_rows(pipeline: dlt.Pipeline) -> None:
    info = pipeline.run(source("s", filling("a", [{"id": 1}], "append"), filling("b", [{"id": 2}, {"id": 3}], "append")))

    reports = info.resources
    assert [(reports[name].rows_loaded, reports[name].rows_inserted, reports[name].total_rows) for name in "ab"] == [
        (1, 1, 3),
        (2, 2, 3),
    ]
    assert recorded(pipeline) == {("s", "a"): (1, 1, 3), ("s", "b"): (2, 2, 3)}


def test_resources_of_one_name_in_two_sources_are_counted_for_themselves(pipeline: dlt.Pipeline) -> None:
    def items(of: str, count: int) -> Any:
        rows = [{"id": n} for n in range(count)]
        return source(of, dlt.resource(rows, name="items", table_name=f"{of}_items"))

    pipeline.run([items("one", 1), items("two", 2)])

    reader_rows = pipeline.dataset()["_dlt_commits"].select("source_name", "row_counts").fetchall()
    counts = {name: json.loads(text) for name, text in reader_rows}
    assert {name: {table: of["loaded"] for table, of in tables.items()} for name, tables in counts.items()} == {
        "one": {"one_items": 1},
        "two": {"two_items": 2},
    }


def test_an_attempt_that_is_repeated_reports_the_rows_of_each_resource(pipeline: dlt.Pipeline) -> None:
    data = source("s", filling("a", [{"id": 1}], "append"), filling("b", [{"id": 2}, {"id": 3}], "append"))
    first = pipeline.run(data, idempotency_key="once")
    again = pipeline.run(data, idempotency_key="once")

    assert [again.resources[name].rows_loaded for name in "ab"] == [1, 2]
    assert [again.resources[name].tables for name in "ab"] == [first.resources[name].tables for name in "ab"]


# --- nested tables of a shared table -----------------------------------------------------------------------------


def test_a_source_that_appends_to_a_merged_table_of_another_tells_the_roots_of_its_nested_rows(
    pipeline: dlt.Pipeline,
) -> None:
    pipeline.run(source("s", filling("a", [{"id": 1, "tags": ["x"]}], "merge", primary_key="id")))

    pipeline.run(source("other", filling("b", [{"id": 2, "tags": ["y"]}], "append")))

    assert ids(pipeline) == [1, 2]
    roots = pipeline.dataset()("select n.value, t.id from t__tags n join t on n._dlt_root_id = t._dlt_id order by t.id")
    assert roots.fetchall() == [("x", 1), ("y", 2)]
