"""`pipeline NAME loads`, `load`, `rejects`, `state`, `drop`, `reset`, `prune` and `take-over`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from shop_to_show import shop

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import (
    CommitConflictError,
    ConfigError,
    DeclarationError,
    PipelineStepFailed,
    TableConflictError,
    UnknownResourceError,
)
from dlt_orchestrate.pipeline.repair import Wish, carry_out, plan_repair
from dlt_orchestrate.protocols.clock import SystemClock
from dlt_orchestrate.state.commits import Window

JANUARY, FEBRUARY = ("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-03-01")
TABLES = {"orders": 2, "orders__lines": 3, "orders__lines__tags": 1, "visits": 2}


def told(result: Any) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@dlt.resource
def days(at: Any = dlt.sources.incremental("at", initial_value="2026-01-01")) -> Any:
    yield [{"at": f"2026-{month:02d}-{day:02d}", "notes": ["a"]} for month in (1, 2) for day in (1, 2, 3)]


@dlt.resource
def asked_for() -> Any:
    """Has no cursor: its windows are known by the loads that brought them."""
    yield {"of": dlt.current.window().start}


def test_loads_are_listed_with_resources_rows_rejects_and_host(tool, loaded) -> None:
    (load,) = told(tool("pipeline", "warehouse", "loads", "--json"))

    assert load["load_id"] == loaded.dataset().latest_load_id()
    assert (load["sources"], load["rows"], load["rejected_rows"]) == (["shop"], 8, 1)
    assert [(part["resource"], part["commit_number"]) for part in load["resources"]] == [("orders", 1), ("visits", 1)]
    assert load["host"] == load["resources"][0]["host"]
    assert "orders, visits" in tool("pipeline", "warehouse", "loads").output


def test_one_load_is_told_in_detail(tool, loaded) -> None:
    output = tool("pipeline", "warehouse", "load", loaded.dataset().latest_load_id()).output

    assert output == tool("pipeline", "warehouse", "load", "latest").output
    assert "Resource orders of source shop: commit 1" in output
    assert "cursor    none -> 2026-01-02" in output
    assert [line.split() for line in output.splitlines() if line.startswith("  orders__lines ")] == [
        ["orders__lines", "3", "3", "0", "0", "3"]
    ]


def test_a_load_tells_which_part_of_an_extraction_it_is_and_a_drop_forgets_where_it_stands(tool, project) -> None:
    pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")

    @dlt.resource(checkpoint=1)
    def letters(number: Any = dlt.sources.incremental("number", initial_value=0, row_order="asc")) -> Any:
        yield [{"number": 1}]
        yield [{"number": 2}, {"number": 3}]
        raise ConnectionError

    with pytest.raises(PipelineStepFailed):
        pipeline.run(letters)

    assert "part      2 of an extraction in parts, which has read 3 record(s) so far" in (
        tool("pipeline", "warehouse", "load", "latest").output
    )
    loads = told(tool("pipeline", "warehouse", "loads", "--json"))
    assert [load["resources"][0]["part"] for load in loads] == [2, 1]
    assert "_dlt_checkpoint" in tool("pipeline", "warehouse", "state").output
    tool("pipeline", "warehouse", "drop", "letters", "--yes")
    assert "_dlt_checkpoint" not in tool("pipeline", "warehouse", "state").output


def test_a_load_that_there_is_not_is_an_error(tool, loaded) -> None:
    failed = tool("pipeline", "warehouse", "load", "17.5")

    assert failed.exit_code == 1
    assert "has no load '17.5' in dataset 'raw'" in failed.output


def test_what_rejected_rows_hold_is_shown_only_if_asked_for(tool, loaded) -> None:
    assert "has no id" not in tool("pipeline", "warehouse", "rejects").output
    assert "row" not in told(tool("pipeline", "warehouse", "rejects", "--json"))[0]

    (reject,) = told(tool("pipeline", "warehouse", "rejects", "--resource", "orders", "--values", "--json"))

    assert json.loads(reject["row"]) == {"placed_on": "2026-01-01", "note": "has no id"}
    assert (reject["column"], reject["table"]) == ("id", "orders")
    assert told(tool("pipeline", "warehouse", "rejects", "--resource", "visits", "--json")) == []
    assert len(told(tool("pipeline", "warehouse", "rejects", "--load", "latest", "--json"))) == 1


def test_state_tells_cursors_windows_and_the_rest(tool, loaded) -> None:
    loaded.run(days(), window=JANUARY)

    found = told(tool("pipeline", "warehouse", "state", "--json"))

    assert [(c["resource"], c["cursor"], c["last_value"]) for c in found["cursors"]] == [
        ("orders", "placed_on", "2026-01-02")
    ]
    assert [(w["resource"], w["window"], w["commit_number"]) for w in found["windows"]] == [
        ("days", {"start": JANUARY[0], "end": JANUARY[1]}, 1)
    ]
    assert found["other"] == [{"source": "shop", "resource": "visits", "key": "last_seen", "value": "2026-01-07"}]


def test_a_dropped_resource_loads_anew(tool, loaded) -> None:
    dropped = tool("pipeline", "warehouse", "drop", "orders", "--yes")

    assert dropped.exit_code == 0
    assert dropped.output.splitlines()[1:-1] == [
        "  drop table 'orders' with 2 row(s)",
        "  drop table 'orders__lines' with 3 row(s)",
        "  drop table 'orders__lines__tags' with 1 row(s)",
        "  forget the state of resource 'orders' (source 'shop'): cursor placed_on",
    ]
    assert loaded.dataset().row_counts() == {"visits": 2}
    assert set(loaded.state["sources"]["shop"]["resources"]) == {"visits"}
    loaded.run(shop())
    assert loaded.dataset().row_counts() == TABLES | {"visits": 4}


def test_a_reset_resource_keeps_its_columns(tool, loaded) -> None:
    columns = loaded.dataset().orders.columns

    tool("pipeline", "warehouse", "reset", "re:ord.*", "--yes")

    assert loaded.dataset().row_counts() == {"orders": 0, "orders__lines": 0, "orders__lines__tags": 0, "visits": 2}
    assert loaded.dataset().orders.columns == columns
    assert "orders" not in loaded.state["sources"]["shop"]["resources"]


@pytest.mark.parametrize(
    ("option", "tables", "resources"),
    [("--state-only", TABLES, {"visits"}), ("--tables-only", {"visits": 2}, {"orders", "visits"})],
)
def test_state_and_tables_go_one_without_the_other(tool, loaded, option, tables, resources) -> None:
    assert tool("pipeline", "warehouse", "drop", "orders", option, "--yes").exit_code == 0

    assert loaded.dataset().row_counts() == tables
    assert set(loaded.state["sources"]["shop"]["resources"]) == resources


def test_everything_goes_with_what_the_source_shares(tool, loaded) -> None:
    told(tool("pipeline", "warehouse", "drop", "--all", "--yes", "--json"))

    assert loaded.dataset().row_counts() == {}
    assert loaded.state["sources"] == {}


@pytest.mark.parametrize("flag", [["--dry-run"], []], ids=["dry run", "no terminal to ask on"])
def test_nothing_changes_unless_somebody_says_so(tool, loaded, flag) -> None:
    before = loaded.dataset().load_ids()

    result = tool("pipeline", "warehouse", "drop", "orders", *flag)

    assert result.exit_code == (0 if flag else 2)
    assert "drop table 'orders' with 2 row(s)" in result.output
    assert (loaded.dataset().row_counts(), loaded.dataset().load_ids()) == (TABLES, before)


def test_names_match_as_a_whole_or_are_an_error(tool, loaded) -> None:
    for name in ("order", "re:order", "ORDERS"):
        failed = tool("pipeline", "warehouse", "drop", name, "--yes")

        assert failed.exit_code == 1
        assert f"has no resource {name!r}. Did you mean 'orders'? It has: 'orders', 'visits'." in failed.output
    assert "is no regular expression" in tool("pipeline", "warehouse", "drop", "re:(", "--yes").output
    assert loaded.dataset().row_counts() == TABLES


def test_a_drop_without_names_is_refused(tool, loaded) -> None:
    assert tool("pipeline", "warehouse", "drop", "--yes").exit_code == 2
    assert tool("pipeline", "warehouse", "drop", "orders", "--state-only", "--tables-only", "--yes").exit_code == 2


def test_a_load_committed_after_the_plan_was_made_stops_the_repair(loaded) -> None:
    where = (loaded.destination, "warehouse", "raw")
    planned = plan_repair(*where, Wish(("visits",)), SystemClock())
    loaded.run(shop().with_resources("visits"))

    with pytest.raises(CommitConflictError, match="planned on commit 1 of resource 'visits'"):
        carry_out(loaded.destination, planned)

    assert loaded.dataset().row_counts() == TABLES | {"visits": 4}


def test_a_first_load_of_a_resource_after_the_plan_was_made_stops_the_repair_of_everything(loaded) -> None:
    planned = plan_repair(loaded.destination, "warehouse", "raw", Wish(everything=True), SystemClock())

    @dlt.source(name="shop")
    def grown() -> Any:
        return dlt.resource([{"n": 1}], name="late")

    loaded.run(grown())

    with pytest.raises(CommitConflictError, match="planned on commit 0 of resource 'late'"):
        carry_out(loaded.destination, planned)

    assert loaded.dataset().row_counts() == TABLES | {"late": 1}


def test_a_load_planned_before_a_repair_is_not_committed_after_it(loaded, project) -> None:
    loaded.extract(shop().with_resources("visits"))

    dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw").drop("visits")

    with pytest.raises(PipelineStepFailed, match="planned on commit 1 of resource 'visits'"):
        loaded.load()
    assert "visits" not in loaded.dataset().row_counts()


def test_a_conflict_has_an_exit_code_of_its_own(tool, loaded, monkeypatch) -> None:
    from dlt_orchestrate.cli import repair

    def overtaken(*given: Any) -> Any:
        planned = plan_repair(*given)
        loaded.run(shop().with_resources("visits"))
        return planned

    monkeypatch.setattr(repair, "plan_repair", overtaken)

    failed = tool("pipeline", "warehouse", "drop", "visits", "--yes")

    assert failed.exit_code == 3
    assert "Nothing was changed" in failed.output


@pytest.mark.parametrize("resource", [days, asked_for], ids=["with a cursor", "without one"])
def test_a_dropped_window_takes_its_rows_and_loads_again_once(tool, project, resource) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")
    name = resource.name
    for window in (JANUARY, FEBRUARY):
        pipeline.run(resource(), window=window, idempotency_key=window[0])
    before = pipeline.dataset().row_counts()

    assert tool("pipeline", "p", "drop", name, "--window", *JANUARY, "--yes").exit_code == 0

    assert pipeline.dataset().row_counts() == {table: rows // 2 for table, rows in before.items()}
    for _ in range(2):
        for window in (JANUARY, FEBRUARY):
            pipeline.run(resource(), window=window, idempotency_key=window[0])
        assert pipeline.dataset().row_counts() == before


def test_a_window_can_be_forgotten_while_its_rows_stay_until_it_loads_again(tool, project) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")
    for _ in range(2):
        pipeline.run(asked_for(), window=JANUARY, idempotency_key="once")
    assert len(pipeline.dataset().load_ids()) == 1

    assert tool("pipeline", "p", "drop", "asked_for", "--window", *JANUARY, "--state-only", "--yes").exit_code == 0

    assert pipeline.dataset().row_counts() == {"asked_for": 1}
    info = pipeline.run(asked_for(), window=JANUARY, idempotency_key="once")
    assert not info.resources["asked_for"].repeated
    assert pipeline.dataset().row_counts() == {"asked_for": 1}


def test_an_attempt_whose_load_was_dropped_loads_again(loaded) -> None:
    loaded.run([{"n": 1}], table_name="counted", idempotency_key="attempt")
    loaded.drop("counted")

    info = loaded.run([{"n": 1}], table_name="counted", idempotency_key="attempt")

    assert not info.resources["counted"].repeated
    assert loaded.dataset().row_counts()["counted"] == 1


def test_rows_of_a_resource_that_is_not_named_are_not_taken_away(project) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")
    pipeline.run(dlt.resource([{"n": 1}], name="a", table_name="both"))
    pipeline.run(dlt.resource([{"n": 2}], name="b", table_name="both"))

    with pytest.raises(TableConflictError, match="resource 'b'"):
        pipeline.drop("a")

    assert pipeline.dataset().row_counts() == {"both": 2}
    pipeline.drop("a", "b")
    assert pipeline.dataset().row_counts() == {}


def test_rows_of_another_pipeline_are_not_taken_away(loaded) -> None:
    @dlt.source(name="shop")
    def theirs() -> Any:
        return dlt.resource([{"page": "/their"}], name="visits")

    dlt.pipeline("other", destination=loaded.destination, dataset_name="raw").run(theirs())

    with pytest.raises(TableConflictError, match="pipeline 'other' has loaded rows into it, too"):
        loaded.drop("visits")

    assert loaded.dataset().row_counts() == TABLES | {"visits": 3}
    loaded.drop("visits", shared=True)
    assert "visits" not in loaded.dataset().row_counts()


def test_both_databases_can_be_looked_at_and_mended(tool, destination_name) -> None:
    pipeline = dlt.pipeline("warehouse", destination=destination_name, dataset_name="raw")
    pipeline.run(shop(), idempotency_key="k")
    pipeline.run(asked_for(), window=JANUARY)
    pipeline.run(shop().with_resources("visits"))
    where = ("--destination", destination_name)

    loads = told(tool("pipeline", "warehouse", "loads", *where, "--json"))
    rejected = told(tool("pipeline", "warehouse", "rejects", *where, "--json"))
    state = told(tool("pipeline", "warehouse", "state", *where, "--json"))
    window = told(tool("pipeline", "warehouse", "drop", "asked_for", "--window", *JANUARY, *where, "-y", "--json"))
    dropped = told(tool("pipeline", "warehouse", "drop", "re:orders", *where, "-y", "--json"))
    pruned = told(tool("pipeline", "warehouse", "prune", "--commits-days", "7", *where, "-y", "--json"))

    assert [load["rows"] for load in loads] == [2, 1, 8]
    assert [reject["column"] for reject in rejected] == ["id"]
    assert [found["resource"] for found in state["windows"]] == ["asked_for"]
    assert window["tables"] == [{"table": "asked_for", "action": "delete", "rows": None}]
    assert [table["rows"] for table in dropped["tables"]] == [2, 3, 1]
    assert pruned == {"_dlt_commits": 0}
    assert pipeline.dataset().row_counts() == {"asked_for": 0, "visits": 4}
    assert tool("pipeline", "warehouse", "load", "latest", *where).exit_code == 0


def test_drop_without_names_changes_nothing_in_the_destination(loaded) -> None:
    loaded.extract(shop())

    assert loaded.drop().is_empty

    assert loaded.dataset().row_counts() == TABLES
    with pytest.raises(DeclarationError, match="nothing to load"):
        loaded.load()


def test_dropping_in_python_tells_what_went(loaded) -> None:
    planned = loaded.drop("orders", dry_run=True)
    done = loaded.drop("orders")

    assert (planned.load_id, planned.asdict()["tables"]) == (None, done.asdict()["tables"])
    assert done.load_id == loaded.dataset().latest_load_id()
    with pytest.raises(UnknownResourceError):
        loaded.reset("nobody")


# --- retention -------------------------------------------------------------------------------------------------------


class At(SystemClock):
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


TODAY = datetime.now(UTC)


def loaded_days_ago(days: int, *, key: str | None = None) -> dlt.Pipeline:
    pipeline = dlt.Pipeline("old", destination="duckdb", clock=At(TODAY - timedelta(days=days)))
    rows = [{"id": days}, {"id": None, "why": "no key"}]
    pipeline.run(dlt.resource(rows, name="r", primary_key="id", write_disposition="merge"), idempotency_key=key)
    return pipeline


def counts(pipeline: dlt.Pipeline) -> dict[str, int]:
    return {
        table: pipeline.dataset().query(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        for table in ("_dlt_loads", "_dlt_rejects", "_dlt_commits")
    }


def test_records_are_kept_unless_something_else_is_configured(project) -> None:
    for days_ago in (900, 400, 0):
        pipeline = loaded_days_ago(days_ago)

    assert counts(pipeline) == {"_dlt_loads": 3, "_dlt_rejects": 3, "_dlt_commits": 3}


def test_a_commit_removes_what_the_retention_lets_go(project, monkeypatch) -> None:
    for days_ago in (400, 100):
        loaded_days_ago(days_ago)
    monkeypatch.setenv("RETENTION__REJECTS_DAYS", "200")
    monkeypatch.setenv("RETENTION__COMMITS_DAYS", "200")
    monkeypatch.setenv("RETENTION__LOADS_DAYS", "50")

    pipeline = loaded_days_ago(0)

    # The load of 100 days ago stays with its commit record.
    assert counts(pipeline) == {"_dlt_loads": 2, "_dlt_rejects": 2, "_dlt_commits": 2}
    assert pipeline.dataset().row_counts() == {"r": 3}


def test_what_loads_are_compared_with_always_stays(tool, project) -> None:
    pipeline = loaded_days_ago(900)
    pipeline.run(days())
    state = pipeline.state

    gone = told(
        tool("pipeline", "old", "prune", "--loads-days", "1", "--rejects-days", "1", "--commits-days", "7", "-y", "--json")
    )

    assert gone == {"_dlt_rejects": 1, "_dlt_commits": 0, "_dlt_pipeline_state": 0, "_dlt_loads": 0}
    assert pipeline.state == state
    assert pipeline.run(days()).resources["days"].rows_inserted == 0
    assert not pipeline.first_run


def test_idempotency_keys_live_as_long_as_commit_records_and_at_least_a_week(tool, project, monkeypatch) -> None:
    loaded_days_ago(8, key="a")
    loaded_days_ago(6, key="b")
    loaded_days_ago(0, key="c")
    assert tool("pipeline", "old", "prune", "--commits-days", "6", "--yes").exit_code == 2

    tool("pipeline", "old", "prune", "--commits-days", "7", "--yes")

    assert loaded_days_ago(0, key="b").last_trace.last_load_info.resources["r"].repeated
    assert not loaded_days_ago(0, key="a").last_trace.last_load_info.resources["r"].repeated
    monkeypatch.setenv("RETENTION__COMMITS_DAYS", "6")
    with pytest.raises(ConfigError, match="number of 7 or more"):
        loaded_days_ago(0)


# --- system tables ---------------------------------------------------------------------------------------------------


def test_system_tables_of_an_older_release_and_an_older_dlt_are_upgraded_by_the_first_commit(tool, loaded) -> None:
    with duckdb.connect("warehouse.duckdb") as connection:
        for table, column in (
            ("_dlt_commits", "cursor_before"),
            ("_dlt_commits", "cursor_after"),
            ("_dlt_commits", "earlier_parts"),
            ("_dlt_rejects", "column_name"),
            ("_dlt_loads", "schema_version_hash"),
            ("_dlt_pipeline_state", "version_hash"),
        ):
            connection.execute(f"ALTER TABLE raw.{table} DROP COLUMN {column}")
    assert "orders, visits" in tool("pipeline", "warehouse", "loads").output
    assert "has no id" in tool("pipeline", "warehouse", "rejects", "--values").output

    loaded.run(shop(), idempotency_key="k")

    assert told(tool("pipeline", "warehouse", "loads", "--json"))[0]["resources"][0]["idempotency_key"] == "k"
    assert loaded.dataset().row_counts() == TABLES | {"visits": 4}
    assert loaded.dataset().query("SELECT count(schema_version_hash), count(*) FROM _dlt_loads").fetchall() == [(1, 2)]


def test_system_tables_of_a_newer_release_are_refused_whichever_pipeline_wrote_them(loaded) -> None:
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute("UPDATE raw._dlt_commits SET system_tables_version = 3, pipeline_name = 'other'")

    with pytest.raises(Exception, match="has system tables of version 3; this release of dlt_orchestrate knows up to 2"):
        loaded.run(shop())

    assert len(loaded.dataset().load_ids()) == 1


# --- take-over -------------------------------------------------------------------------------------------------------


def test_taking_over_tells_where_it_goes_on_and_what_stands_in_the_way(tool, loaded, tmp_path, monkeypatch) -> None:
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute("DROP TABLE raw._dlt_commits")
    clear = tool("pipeline", "warehouse", "take-over")
    home = tmp_path / "data"
    (home / "pipelines" / "warehouse" / "load" / "normalized" / "1700000000.5").mkdir(parents=True)
    monkeypatch.setenv("DLT_DATA_DIR", str(home))

    waiting = tool("pipeline", "warehouse", "take-over")

    assert "was made by dlt; the next run takes it over" in clear.output
    assert "orders    placed_on  2026-01-02" in clear.output
    assert (clear.exit_code, waiting.exit_code) == (0, 1)
    assert "In the way: dlt has package 1700000000.5 waiting" in waiting.output


def test_a_table_of_somebody_else_with_types_of_its_own_stands_in_nobodys_way(loaded) -> None:
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute("CREATE TABLE raw.theirs (id UUID, tags VARCHAR[])")

    loaded.run(shop().with_resources("visits"))

    assert loaded.dataset().row_counts()["visits"] == 4
    with pytest.raises(Exception, match=r"has the type (UUID|VARCHAR\[\]), which loads cannot write"):
        loaded.run([{"id": 1}], table_name="theirs")


def test_files_of_the_project_are_left_alone(tool, loaded, project: Path) -> None:
    tool("pipeline", "warehouse", "drop", "--all", "--yes")

    assert sorted(path.name for path in project.iterdir()) == ["warehouse.duckdb"]


@pytest.mark.parametrize("drop", [{"windows": [Window(keys=(("partition", "eu"),))]}, {}], ids=["the partition", "all"])
def test_an_attempt_at_a_partition_by_key_that_was_dropped_loads_again(destination_name, drop) -> None:
    pipeline = dlt.pipeline("p", destination=destination_name, dataset_name="d")

    @dlt.resource
    def regions():
        dlt.current.partition_key()
        yield [{"id": 1}]

    for _ in range(2):
        pipeline.run(regions(), partition="eu", idempotency_key="attempt")
    pipeline.drop("regions", **drop)
    pipeline.run(regions(), partition="eu", idempotency_key="attempt")

    assert pipeline.dataset().row_counts() == {"regions": 1}


def test_a_window_that_shares_its_loads_is_not_dropped_though_the_other_resource_went_on(project) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")

    @dlt.source(name="s")
    def shop(**rows):
        for name, found in rows.items():

            @dlt.resource(name=name, table_name="t", write_disposition="merge", primary_key="id")
            def read(found=found):
                dlt.current.window()
                yield found

            yield read

    pipeline.run(shop(a=[{"id": 1}], b=[{"id": 11}, {"id": 12}]), window=JANUARY)
    pipeline.run(shop(b=[{"id": 11}]), window=JANUARY)

    with pytest.raises(TableConflictError, match="brought rows of resource 'b'"):
        pipeline.drop("a", windows=[Window(*JANUARY)])

    assert pipeline.dataset().row_counts() == {"t": 3}


def test_a_window_whose_first_records_were_pruned_is_not_dropped_with_its_rows(tool, project) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")
    for attempt in ("first", "second"):
        pipeline.run(asked_for(), window=JANUARY, idempotency_key=attempt)
    with duckdb.connect("p.duckdb") as connection:
        connection.execute("DELETE FROM p_dataset._dlt_commits WHERE commit_number = 1")

    refused = tool("pipeline", "p", "drop", "asked_for", "--window", *JANUARY, "--yes")

    assert refused.exit_code == 1
    assert "the records of some of its loads were pruned" in " ".join(refused.output.split())
    assert pipeline.dataset().row_counts() == {"asked_for": 1}
