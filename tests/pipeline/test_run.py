"""`run()` through its public face: what it prints, counts, keeps and leaves alone."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import (
    CommitConflictError,
    DeclarationError,
    MissingExtraError,
    PipelineStepFailed,
    TableConflictError,
)

USERS = [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]


def quick_start(**settings) -> dlt.Pipeline:
    return dlt.pipeline(pipeline_name="quick_start", destination="duckdb", dataset_name="mydata", **settings)


def rows(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()[table].select(*columns).fetchall(), key=repr)


@dlt.resource(primary_key="id", write_disposition="merge")
def events(found: list, updated_at=dlt.sources.incremental("updated_at", initial_value=0)):
    yield [row for row in found if row["updated_at"] >= updated_at.last_value]


# --- what is printed ---------------------------------------------------------------------------------------------


def test_the_load_info_prints_four_lines(project: Path) -> None:
    info = quick_start().run(USERS, table_name="users")

    first, *others = str(info).splitlines()
    assert re.fullmatch(r"Pipeline quick_start load step finished in \d+\.\d\d seconds", first)
    assert others == [
        "1 load package(s) were loaded to destination duckdb and into dataset mydata",
        f"The duckdb destination used duckdb:///{project}/quick_start.duckdb location to store data",
        f"Load package {info.loads_ids[0]} is LOADED and contains no failed jobs",
    ]
    assert re.fullmatch(r"\d{10}\.\d+", info.loads_ids[0])
    assert (info.first_run, info.is_empty, info.has_failed_jobs) == (True, False, False)


def test_the_normalize_info_counts_rows_by_table_and_the_state_only_when_it_changed(project: Path) -> None:
    pipeline = quick_start()
    found = [{"id": 1, "updated_at": 1, "labels": ["a", "b"]}]

    pipeline.run(events(found))
    printed = str(pipeline.last_trace.last_normalize_info).splitlines()
    assert pipeline.last_trace.last_normalize_info.row_counts == {
        "_dlt_pipeline_state": 1,
        "events": 1,
        "events__labels": 2,
    }
    assert printed[:4] == [
        "Normalized data for the following tables:",
        "- _dlt_pipeline_state: 1 row(s)",
        "- events: 1 row(s)",
        "- events__labels: 2 row(s)",
    ]

    pipeline.run(USERS, table_name="users")
    assert pipeline.last_trace.last_normalize_info.row_counts == {"users": 2}


def test_the_trace_tells_the_steps(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run(USERS, table_name="users")

    lines = str(pipeline.last_trace).splitlines()

    head = r"Run started at [\d :+-]+ and COMPLETED in \d+\.\d\d seconds with 4 steps\."
    assert re.fullmatch(head, lines[0])
    steps = [line for line in lines if line.startswith("Step ")]
    assert [re.sub(r"\d+\.\d\d", "N", step) for step in steps] == [
        f"Step {name} COMPLETED in N seconds." for name in ("extract", "normalize", "load", "run")
    ]


# --- nothing new -------------------------------------------------------------------------------------------------


def test_a_run_without_news_commits_nothing(project: Path) -> None:
    pipeline = quick_start()
    found = [{"id": 1, "updated_at": 1}]
    first = pipeline.run(events(found))
    loads = pipeline.dataset().load_ids()

    info = pipeline.run(events(found))

    assert str(info).splitlines() == [
        "Pipeline quick_start load step did not start",
        "0 load package(s) were loaded to destination duckdb and into dataset None",
        f"The duckdb destination used duckdb:///{project}/quick_start.duckdb location to store data",
    ]
    assert info.loads_ids == ()
    assert info.is_empty
    assert pipeline.dataset().load_ids() == loads
    assert str(pipeline.last_trace.last_normalize_info) == "No data found to normalize"
    report = info.resources["events"]
    assert (report.changed, report.load_id, report.total_rows) == (False, first.loads_ids[0], 1)


# --- write dispositions ------------------------------------------------------------------------------------------


def test_append_adds_and_replace_leaves_only_the_new_rows_with_their_children(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": 1, "tags": ["a"]}], table_name="t")
    pipeline.run([{"id": 1, "tags": ["a"]}], table_name="t")
    assert rows(pipeline, "t", "id") == [(1,), (1,)]
    assert rows(pipeline, "t__tags", "value") == [("a",), ("a",)]

    info = pipeline.run([{"id": 2, "tags": ["b"]}], table_name="t", write_disposition="replace")

    assert rows(pipeline, "t", "id") == [(2,)]
    assert rows(pipeline, "t__tags", "value") == [("b",)]
    report = info.resources["t"]
    assert (report.rows_deleted, report.rows_inserted, report.total_rows) == (2, 1, 1)


def test_replace_with_nothing_empties_the_table_and_its_children(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": 1, "tags": ["a"]}], table_name="t")

    info = pipeline.run([], table_name="t", write_disposition="replace")

    assert len(info.loads_ids) == 1
    assert pipeline.dataset().row_counts() == {"t": 0, "t__tags": 0}


def test_merge_replaces_rows_with_their_children_and_keeps_the_last_of_each_key(project: Path) -> None:
    pipeline = quick_start()
    first = [{"id": 1, "v": "old", "tags": ["a", "b"]}, {"id": 2, "v": "kept", "tags": ["c"]}]
    pipeline.run(first, table_name="t", write_disposition="merge", primary_key="id")

    second = [{"id": 1, "v": "new", "tags": ["x"]}, {"id": 3, "v": "twice", "tags": ["y"]}, {"id": 3, "v": "last"}]
    info = pipeline.run(second, table_name="t", write_disposition="merge", primary_key="id")

    assert rows(pipeline, "t", "id", "v") == [(1, "new"), (2, "kept"), (3, "last")]
    assert rows(pipeline, "t__tags", "value") == [("c",), ("x",)]
    report = info.resources["t"]
    assert (report.rows_loaded, report.rows_inserted, report.rows_updated, report.total_rows) == (2, 1, 1, 3)


def test_merge_keys_that_the_column_cannot_hold_change_nothing(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": 1}], table_name="t", write_disposition="merge", primary_key="id")

    with pytest.raises(PipelineStepFailed, match="Table 't'") as caught:
        pipeline.run([{"id": "a"}, {"id": "b"}], table_name="t", write_disposition="merge", primary_key="id")

    assert isinstance(caught.value.__cause__, TableConflictError)
    assert "column 'id' is bigint, and up to 2 of the 2 rows" in str(caught.value)
    assert rows(pipeline, "t", "id") == [(1,)]


def test_merge_into_an_appended_table_never_merges_rows_on_a_null_key(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": 1}], table_name="t")

    with pytest.raises(PipelineStepFailed, match="it is a key, so no row may lack it"):
        pipeline.run([{"id": "a"}, {"id": "b"}], table_name="t", write_disposition="merge", primary_key="id")

    assert rows(pipeline, "t", "id") == [(1,)]


def test_appended_rows_may_lack_the_primary_key(project: Path) -> None:
    pipeline = quick_start()

    pipeline.run([{"id": 1}, {"v": 2}], table_name="t", primary_key="id")

    assert rows(pipeline, "t", "id", "v") == [(1, None), (None, 2)]


# --- reading -----------------------------------------------------------------------------------------------------


def test_a_dataset_gives_rows_tables_and_frames(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": n, "name": f"n{n}"} for n in range(5)], table_name="users")

    users = pipeline.dataset().users

    assert users.select("id").order_by("id", "desc").limit(2).fetchall() == [(4,), (3,)]
    assert users.where("id", ">", 2).select("name").order_by("name").fetchall() == [("n3",), ("n4",)]
    assert users.where("id", "in", [1, 2]).count() == 2
    assert users.arrow().column("id").to_pylist() == [0, 1, 2, 3, 4]
    assert users.df()["name"].tolist() == ["n0", "n1", "n2", "n3", "n4"]
    assert sum(batch.num_rows for batch in users.iter_arrow()) == 5
    assert pipeline.dataset().query("SELECT max(id) FROM users").fetchscalar() == 4
    assert pipeline.dataset()("SELECT id FROM users WHERE name = ?", "n1").fetchone() == (1,)
    assert pipeline.dataset().tables[0] == "users"


def test_frames_without_pandas_name_the_extra(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = quick_start()
    pipeline.run(USERS, table_name="users")
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(MissingExtraError, match=r"To use df\(\), the extra 'frames' must be installed"):
        pipeline.dataset().users.df()
    with pytest.raises(MissingExtraError, match=r"To use iter_df\(\), the extra 'frames' must be installed"):
        next(pipeline.dataset().users.iter_df())


def test_a_dataset_may_bear_the_name_of_its_pipeline_and_file(project: Path) -> None:
    pipeline = dlt.pipeline("github", destination="duckdb", dataset_name="github")

    pipeline.run([{"id": 1, "tags": ["a"]}], table_name="github", write_disposition="merge", primary_key="id")
    pipeline.run([{"id": 1, "tags": ["b"]}], table_name="github", write_disposition="merge", primary_key="id")

    assert rows(pipeline, "github", "id") == [(1,)]
    assert pipeline.dataset().github__tags.select("value").fetchall() == [("b",)]
    assert pipeline.dataset().query("SELECT count(*) FROM github").fetchscalar() == 1


def test_a_load_info_is_data_that_can_be_loaded(project: Path) -> None:
    pipeline = quick_start()
    info = pipeline.run([{"id": 1, "tags": ["a"]}], table_name="t")

    pipeline.run([info], table_name="_load_info")
    pipeline.run([info.asdict()], table_name="_load_info")
    pipeline.run(info, table_name="_load_info")

    dataset = pipeline.dataset()
    assert dataset["_load_info"].select("pipeline_name", "first_run").fetchall() == [("quick_start", True)] * 3
    packages = dataset["_load_info__load_packages"].select("load_id", "state").fetchall()
    assert packages == [(info.loads_ids[0], "loaded")] * 3
    assert not [name for name in dataset.tables if "resources" in name]


# --- state -------------------------------------------------------------------------------------------------------


def test_the_cursor_comes_back_on_a_worker_with_an_empty_disk(project: Path, monkeypatch) -> None:
    quick_start().run(events([{"id": 1, "updated_at": 5}]))
    monkeypatch.setenv("HOME", str(project / "another_home"))

    info = quick_start().run(events([{"id": 1, "updated_at": 4}, {"id": 2, "updated_at": 6}]))

    assert rows(quick_start(), "events", "id", "updated_at") == [(1, 5), (2, 6)]
    report = info.resources["events"]
    assert report.cursor_path == "updated_at"
    assert report.rows_loaded == 1


def test_the_stored_schema_and_state_can_be_looked_at(project: Path) -> None:
    pipeline = quick_start()
    assert (pipeline.first_run, pipeline.has_data, dict(pipeline.state)) == (True, False, {})

    pipeline.run(events([{"id": 1, "updated_at": 5}]))

    assert (pipeline.first_run, pipeline.has_data) == (False, True)
    assert pipeline.schema_names == ["quick_start"]
    assert set(pipeline.default_schema.tables) == {"events"}
    incremental = pipeline.state["sources"]["quick_start"]["resources"]["events"]["incremental"]
    assert incremental["updated_at"]["last_value"] == 5


# --- a resource that fails, fails alone --------------------------------------------------------------------------


@dlt.source
def shop(fail: bool = True):
    @dlt.resource
    def orders():
        yield {"id": 1}

    @dlt.resource
    def broken():
        yield {"id": 1}
        if fail:
            raise ValueError("the shop is closed")

    @dlt.resource
    def customers():
        yield {"id": 7}

    return orders, broken, customers


@pytest.mark.parametrize(
    ("commit", "kept", "packages"),
    [("run", {"orders", "customers"}, 1), ("source", set(), 0), ("resource", {"orders", "customers"}, 2)],
)
def test_a_failing_resource_is_named_and_its_siblings_commit(project: Path, commit, kept, packages) -> None:
    pipeline = quick_start()

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(shop(), commit=commit)

    error = caught.value
    assert str(error) == (
        "Pipeline 'quick_start', step 'extract', resource 'broken' failed. ValueError: the shop is closed"
        + ("\nCommitted all the same: 'orders', 'customers'." if kept else "")
    )
    assert (error.step, error.resources, type(error.__cause__)) == ("extract", ("broken",), ValueError)
    assert set(error.load_info.resources) == kept
    assert len(error.load_info.loads_ids) == packages
    if kept:
        assert set(pipeline.dataset().row_counts()) == kept
    else:
        assert pipeline.first_run
    assert "FAILED" in str(pipeline.last_trace).splitlines()[0]

    pipeline.run(shop(fail=False), commit=commit)
    assert pipeline.dataset().row_counts()["broken"] == 1


def test_a_resource_whose_commit_fails_leaves_its_siblings_alone(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": "text"}], table_name="broken")
    source = shop(fail=False)
    source.resources["broken"].apply_hints(columns={"id": {"data_type": "bigint"}})

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(list(source.resources.values()), commit="resource")

    assert (caught.value.step, caught.value.resources) == ("load", ("broken",))
    assert set(caught.value.load_info.resources) == {"orders", "customers"}
    assert pipeline.dataset().row_counts() == {"broken": 1, "customers": 1, "orders": 1}


def test_shared_state_commits_with_the_rows_of_the_resource_that_changed_it(project: Path) -> None:
    pipeline = quick_start()
    pipeline.run([{"id": "text"}], table_name="second")

    @dlt.source(name="quick_start")
    def counting(hints=None):
        dlt.current.source_state()["evaluated"] = True

        @dlt.resource
        def first():
            dlt.current.source_state()["by first"] = 1
            yield {"id": 1}

        @dlt.resource(columns=hints)
        def second():
            dlt.current.source_state()["by second"] = 2
            yield {"id": 1}

        @dlt.resource
        def third():
            dlt.current.source_state()["by third"] = 3
            yield {"id": 1}

        return first, second, third

    with pytest.raises(PipelineStepFailed, match="resource 'second' failed"):
        pipeline.run(counting({"id": {"data_type": "bigint"}}), commit="resource")

    def shared() -> dict:
        return {name: value for name, value in pipeline.state["sources"]["quick_start"].items() if name != "resources"}

    assert shared() == {"evaluated": True, "by first": 1, "by third": 3}

    pipeline.run(counting(), commit="resource")
    assert shared() == {"evaluated": True, "by first": 1, "by second": 2, "by third": 3}


def test_an_unknown_commit_scope_loads_nothing(project: Path) -> None:
    with pytest.raises(DeclarationError, match=r"commit='each' is not known\. Known are: 'run', 'source', 'resource'"):
        quick_start().run(USERS, table_name="users", commit="each")

    assert not list(project.iterdir())


def test_resources_of_one_name_in_two_sources_have_schemas_of_their_own(project: Path) -> None:
    def named(source: str):
        @dlt.resource(name="items", table_name=f"{source}_items")
        def items():
            yield from [{source: n} for n in range(len(source))]

        return dlt.source(lambda: items, name=source)()

    pipeline = quick_start()
    info = pipeline.run([named("shop"), named("factory")], commit="resource")

    assert pipeline.dataset().row_counts() == {"factory_items": 7, "shop_items": 4}
    report = info.resources["factory.items"]
    assert (report.source, report.rows_loaded, report.columns[0].name) == ("factory", 7, "factory")
    assert set(pipeline.schemas) == {"shop", "factory"}


# --- idempotency, step by step, concurrency ----------------------------------------------------------------------


def test_an_attempt_that_has_committed_extracts_nothing_again(project: Path) -> None:
    pipeline = quick_start()
    asked = []

    @dlt.resource
    def numbers():
        asked.append(True)
        yield {"n": len(asked)}

    first = pipeline.run(numbers(), idempotency_key="attempt-1")
    again = pipeline.run(numbers(), idempotency_key="attempt-1")
    pipeline.run(numbers(), idempotency_key="attempt-2")

    report = again.resources["numbers"]
    assert (report.repeated, report.changed, report.load_id) == (True, False, first.loads_ids[0])
    assert again.loads_ids == ()
    assert rows(pipeline, "numbers", "n") == [(1,), (2,)]


def test_extract_normalize_and_load_one_by_one_make_a_run(project: Path) -> None:
    pipeline = quick_start()

    extracted = pipeline.extract([{"id": 1, "tags": ["a"]}], table_name="t")
    normalized = pipeline.normalize()
    assert not (project / "quick_start.duckdb").exists()
    info = pipeline.load()

    assert extracted.row_counts == {"t": 1}
    assert normalized.row_counts == {"t": 1, "t__tags": 1}
    assert len(info.loads_ids) == 1
    assert rows(pipeline, "t", "id") == [(1,)]
    with pytest.raises(DeclarationError, match="there is nothing to load; call extract"):
        pipeline.load()


def both_at_once(*runs) -> list[Exception]:
    """Run in threads; gives what they raised."""
    raised: list[Exception] = []

    def carry_out(run) -> None:
        try:
            run()
        except PipelineStepFailed as error:
            raised.append(error)

    threads = [threading.Thread(target=carry_out, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def meeting(name: str, barrier: threading.Barrier):
    """A resource that has read its state before the others have committed theirs."""

    @dlt.resource(name=name)
    def waiting():
        dlt.current.resource_state()["seen"] = name
        yield {"id": 1, "tags": ["a"]}
        barrier.wait(30)

    return waiting()


def test_threads_that_load_different_resources_both_commit(project: Path) -> None:
    barrier = threading.Barrier(2)
    pipeline = quick_start()
    other = quick_start()

    raised = both_at_once(lambda: pipeline.run(meeting("a", barrier)), lambda: other.run(meeting("b", barrier)))

    assert raised == []
    assert pipeline.dataset().row_counts() == {"a": 1, "a__tags": 1, "b": 1, "b__tags": 1}
    assert set(pipeline.state["sources"]["quick_start"]["resources"]) == {"a", "b"}
    assert len(pipeline.dataset().load_ids()) == 2


def test_of_threads_that_load_one_resource_the_second_is_told_who_won(project: Path) -> None:
    barrier = threading.Barrier(2)
    pipeline = quick_start()

    raised = both_at_once(lambda: pipeline.run(meeting("a", barrier)), lambda: quick_start().run(meeting("a", barrier)))

    (error,) = raised
    assert isinstance(error.__cause__, CommitConflictError)
    assert error.__cause__.winner_load_id == pipeline.dataset().latest_load_id()
    assert f"load {error.__cause__.winner_load_id} from host" in str(error)
    assert "planned on commit 0 of resource 'a'" in str(error)
    assert error.resources == ("a",)
    assert pipeline.dataset().row_counts() == {"a": 1, "a__tags": 1}
