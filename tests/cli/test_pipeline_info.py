"""`pipeline NAME info`."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from shop_to_show import shop

import dlt_orchestrate as dlt


def test_it_tells_location_tables_cursors_loads_and_rejects(tool, loaded, project) -> None:
    told = tool("pipeline", "warehouse", "info")

    load_id = loaded.dataset().latest_load_id()
    lines = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "<time>".ljust(23), told.output).splitlines()
    assert told.exit_code == 0
    assert lines[:-2] == [
        "Pipeline warehouse",
        f"  loads to  duckdb:///{project}/warehouse.duckdb",
        "  dataset   raw",
        "",
        "Tables: 4",
        "  table                    rows",
        "  orders                      2",
        "    orders__lines             3",
        "      orders__lines__tags     1",
        "  visits                      2",
        "",
        "Incremental cursors: 1",
        "  source  resource  cursor     last value",
        "  shop    orders    placed_on  2026-01-02",
        "",
        "Loads: 1",
        f"  {'load id':{len(load_id)}}  source  time                     rows",
        f"  {load_id}  shop    <time>                      8",
        "",
        "Rejected rows: 1",
    ]
    assert lines[-2].split() == ["resource", "column", "cause", "rows"]
    assert re.fullmatch(r"  orders +id +\S.* 1", lines[-1])


def test_a_dataset_of_dlt_has_no_commit_records_and_is_told_all_the_same(tool, loaded) -> None:
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute("DROP TABLE raw._dlt_commits")
        connection.execute("DROP TABLE raw._dlt_rejects")

    told = tool("pipeline", "warehouse", "info").output

    assert "Tables: 4\n" in told
    assert "shop    orders    placed_on  2026-01-02\n" in told
    assert re.search(r"Loads: 1\n.*\n.*  shop .*  \?\n", told)
    assert "Rejected rows: 0\n" in told


@pytest.mark.parametrize("words", [("-v", "warehouse", "info"), ("warehouse", "info", "-v")], ids=" ".join)
def test_told_to_tell_more_it_names_columns_rows_by_table_and_other_state(tool, loaded, words) -> None:
    told = " ".join(tool("pipeline", *words).output.split())

    assert ".placed_on DATE" in told or ".placed_on VARCHAR" in told
    assert "._dlt_load_id VARCHAR" in told
    assert "orders 2, orders__lines 3, orders__lines__tags 1, visits 2" in told
    assert "Other state source resource key value shop visits last_seen 2026-01-07" in told


def test_a_second_load_that_brings_nothing_new_is_not_listed(tool, loaded, project) -> None:
    loaded.run(shop().with_resources("orders"))

    assert "Loads: 1\n" in tool("pipeline", "warehouse", "info").output


def test_loads_are_told_newest_first(tool, project) -> None:
    pipeline = dlt.pipeline("p", destination="duckdb")
    ids = [pipeline.run([{"n": n}], table_name="t").loads_ids[0] for n in range(12)]

    told = tool("pipeline", "p", "info").output

    assert "Loads: 12, the newest 10 of them" in told
    assert [load_id for load_id in re.findall(r"\d+\.\d+", told) if load_id in ids] == ids[:1:-1]


def test_destination_and_dataset_can_be_named(tool, project) -> None:
    elsewhere = dlt.destinations.duckdb("elsewhere.duckdb")
    dlt.pipeline("p", destination=elsewhere, dataset_name="one").run([{"a": 1}], table_name="t")
    dlt.pipeline("p", destination=elsewhere, dataset_name="two").run([{"a": 1}], table_name="u")

    unclear = tool("pipeline", "p", "info", "--destination", "elsewhere.duckdb")
    told = tool("pipeline", "p", "info", "--destination", "elsewhere.duckdb", "--dataset", "two")

    assert unclear.exit_code == 1
    assert "it has loaded into several datasets, 'one', 'two'. Name the one that is meant with --dataset." in unclear.stderr
    assert "dataset   two" in told.output
    assert "  u " in told.output


def test_a_configured_destination_is_found(tool, project, monkeypatch) -> None:
    monkeypatch.setenv("P__DESTINATION__DUCKDB__CREDENTIALS", str(project / "configured.duckdb"))
    dlt.pipeline("p", destination="duckdb").run([{"a": 1}], table_name="t")

    assert f"loads to  duckdb:///{project}/configured.duckdb" in tool("pipeline", "p", "info").output


def test_the_local_folder_is_looked_into(tool, project, monkeypatch) -> None:
    (project / "files").mkdir()
    monkeypatch.setenv("DLT_LOCAL_DIR", "files")
    dlt.pipeline("p", destination="duckdb").run([{"a": 1}], table_name="t")

    assert Path("files/p.duckdb").exists()
    assert f"loads to  duckdb:///{project}/files/p.duckdb" in tool("pipeline", "p", "info").output


def test_only_what_the_pipeline_itself_has_loaded_is_told(tool, loaded, project) -> None:
    other = dlt.pipeline("other", destination=loaded.destination, dataset_name="raw")
    other.run([{"a": 1}], table_name="others")

    of_other = tool("pipeline", "other", "info", "--destination", "warehouse.duckdb").output

    assert "Tables: 1\n" in of_other
    assert "Loads: 1\n" in of_other
    assert "Rejected rows: 0\n" in of_other
    assert "others" not in tool("pipeline", "warehouse", "info").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("misspelt", "info", "--destination", "warehouse.duckdb"),
            "it has loaded nothing. Datasets that were loaded into are 'raw'",
        ),
        (("warehouse", "info", "--dataset", "row"), "nothing into dataset 'row'. Did you mean 'raw'?"),
        (("empty", "info"), "it has loaded nothing. Nothing else has been loaded there, either"),
        (("a/b", "info"), "Pipeline name 'a/b' cannot be used"),
        (("warehouse", "info", "--destination", "text.duckdb"), "The file holds something else: choose another path."),
    ],
)
def test_what_is_not_found_is_told_with_what_there_is(tool, loaded, project, arguments, message) -> None:
    duckdb.connect("empty.duckdb").close()
    Path("text.duckdb").write_text("no database " * 1000)

    failed = tool("pipeline", *arguments)

    assert failed.exit_code == 1
    assert message in failed.stderr
