"""How a run's rows meet those of earlier runs, under each write disposition and merge strategy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed

UPSERT = {"disposition": "merge", "strategy": "upsert"}
INSERT_ONLY = {"disposition": "merge", "strategy": "insert-only"}
CDC = {"disposition": "merge", "strategy": "cdc"}
FIRST, SECOND, THIRD = (f"2026-02-0{day}T00:00:00Z" for day in (1, 2, 3))


def scd2(boundary: str, **options: Any) -> dict[str, Any]:
    return {"disposition": "merge", "strategy": "scd2", "boundary_timestamp": boundary, **options}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def pipeline(destination_name: str) -> dlt.Pipeline:
    return dlt.pipeline(pipeline_name="orders", destination=destination_name, dataset_name="mydata")


def rows(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()[table].select(*columns).fetchall(), key=repr)


def orders(found: Any, **hints: Any) -> Any:
    return dlt.resource(found, name="orders", **hints)


# --- merge -------------------------------------------------------------------------------------------------------


def test_a_day_is_loaded_again_as_a_whole(pipeline: dlt.Pipeline) -> None:
    clicks = dlt.resource(name="clicks", write_disposition="merge", merge_key="day")
    pipeline.run(clicks([{"day": "2026-01-01", "n": 1}, {"day": "2026-01-01", "n": 1}, {"day": "2026-01-02", "n": 5}]))

    info = pipeline.run(clicks([{"day": "2026-01-01", "n": 2}]))

    assert rows(pipeline, "clicks", "day", "n") == [("2026-01-01", 2), ("2026-01-02", 5)]
    report = info.resources["clicks"]
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.total_rows) == (1, 0, 2, 2)


def test_a_stream_of_changes_is_replayed(pipeline: dlt.Pipeline) -> None:
    @dlt.resource(
        write_disposition="merge",
        primary_key="id",
        columns={"lsn": {"dedup_sort": "desc"}, "deleted": {"hard_delete": True}},
    )
    def users(log: list, lsn=dlt.sources.incremental("lsn", initial_value=0)):
        yield from log

    log = [
        {"id": 1, "lsn": 3, "name": "Alicia", "deleted": False, "mails": ["new"]},
        {"id": 1, "lsn": 1, "name": "Alice", "deleted": False, "mails": ["old"]},
        {"id": 2, "lsn": 2, "name": "Bob", "deleted": False, "mails": ["b"]},
    ]
    pipeline.run(users(log))
    assert rows(pipeline, "users", "id", "name") == [(1, "Alicia"), (2, "Bob")]

    pipeline.run(users([*log, {"id": 2, "lsn": 4, "deleted": True}, {"id": 3, "lsn": 5, "deleted": True}]))
    assert rows(pipeline, "users", "id", "name") == [(1, "Alicia")]
    assert rows(pipeline, "users__mails", "value") == [("new",)]

    pipeline.run(users([{"id": 2, "lsn": 6, "name": "Bob again", "deleted": False}]))
    assert rows(pipeline, "users", "id", "name") == [(1, "Alicia"), (2, "Bob again")]


def test_upserted_rows_keep_their_ids(pipeline: dlt.Pipeline) -> None:
    pipeline.run(
        orders([{"id": 1, "v": "old", "tags": ["a"]}, {"id": 2, "v": "old"}]), primary_key="id", write_disposition=UPSERT
    )
    ids = rows(pipeline, "orders", "id", "_dlt_id")

    info = pipeline.run(orders([{"id": 1, "v": "new", "tags": ["b", "c"]}], primary_key="id", write_disposition=UPSERT))

    assert rows(pipeline, "orders", "id", "_dlt_id") == ids
    assert rows(pipeline, "orders", "id", "v") == [(1, "new"), (2, "old")]
    assert rows(pipeline, "orders__tags", "value", "_dlt_parent_id") == [("b", ids[0][1]), ("c", ids[0][1])]
    assert (info.resources["orders"].rows_updated, info.resources["orders"].rows_inserted) == (1, 0)


def test_upserting_an_arrow_table_gives_the_ids_that_records_get(pipeline: dlt.Pipeline) -> None:
    pipeline.run(orders([{"id": 1, "v": "old"}], primary_key="id", write_disposition=UPSERT))
    ids = rows(pipeline, "orders", "id", "_dlt_id")

    pipeline.run(orders(pa.table({"id": [1], "v": ["new"]}), primary_key="id", write_disposition=UPSERT))

    assert rows(pipeline, "orders", "id", "_dlt_id") == ids
    assert rows(pipeline, "orders", "id", "v") == [(1, "new")]


def test_insert_only_never_changes_a_row(pipeline: dlt.Pipeline) -> None:
    for value in ("first", "second"):
        found = [{"id": 1, "v": value, "tags": [value]}, {"id": value, "v": value}]
        info = pipeline.run(
            orders(found, primary_key="id", columns={"id": {"data_type": "text"}}, write_disposition=INSERT_ONLY)
        )

    assert rows(pipeline, "orders", "id", "v") == [("1", "first"), ("first", "first"), ("second", "second")]
    assert rows(pipeline, "orders__tags", "value") == [("first",)]
    assert (info.resources["orders"].rows_inserted, info.resources["orders"].total_rows) == (1, 3)


def test_cdc_deletes_what_a_whole_load_lacks(pipeline: dlt.Pipeline) -> None:
    declared = {"primary_key": "id", "write_disposition": CDC}
    pipeline.run(orders([{"id": 1}, {"id": 2, "tags": ["a"]}], **declared))

    info = pipeline.run(orders([{"id": 1}], **declared))

    assert rows(pipeline, "orders", "id") == [(1,)]
    assert rows(pipeline, "orders__tags", "value") == []
    assert info.resources["orders"].rows_deleted == 1


# --- versions ----------------------------------------------------------------------------------------------------


def test_versions_tell_the_history_of_a_row(pipeline: dlt.Pipeline) -> None:
    pipeline.run(orders([{"id": 1, "state": "open"}, {"id": 2, "state": "open"}], write_disposition=scd2(FIRST)))
    pipeline.run(orders([{"id": 1, "state": "closed"}, {"id": 2, "state": "open"}], write_disposition=scd2(SECOND)))
    info = pipeline.run(orders([{"id": 1, "state": "open"}], write_disposition=scd2(THIRD)))

    first, second, third = map(moment, (FIRST, SECOND, THIRD))
    assert rows(pipeline, "orders", "id", "state", "_dlt_valid_from", "_dlt_valid_to") == [
        (1, "closed", second, third),
        (1, "open", first, second),
        (1, "open", third, None),
        (2, "open", first, third),
    ]
    assert list(pipeline.default_schema.tables["orders"].columns)[:2] == ["_dlt_valid_from", "_dlt_valid_to"]
    assert (info.resources["orders"].rows_inserted, info.resources["orders"].rows_updated) == (1, 2)
    assert info.resources["orders"].warnings == ()


def test_versions_begin_with_their_load(pipeline: dlt.Pipeline) -> None:
    plain = {"disposition": "merge", "strategy": "scd2"}
    infos = [pipeline.run(orders([{"id": n}], write_disposition=plain)) for n in (1, 2)]

    first, second = (info.resources["orders"].committed_at.astimezone(UTC) for info in infos)
    assert rows(pipeline, "orders", "id", "_dlt_valid_from", "_dlt_valid_to") == [(1, first, second), (2, second, None)]


def test_versions_with_names_and_an_end_of_ones_own(pipeline: dlt.Pipeline) -> None:
    options = {"validity_column_names": ["since", "until"], "active_record_timestamp": "9999-12-31"}
    for boundary, state in ((FIRST, "open"), (SECOND, "closed")):
        pipeline.run(orders([{"id": 1, "state": state}], write_disposition=scd2(boundary, **options)))

    first, second, forever = map(moment, (FIRST, SECOND, "9999-12-31T00:00:00Z"))
    assert rows(pipeline, "orders", "state", "since", "until") == [("closed", second, forever), ("open", first, second)]


def test_arrow_tables_become_versions_too(pipeline: dlt.Pipeline) -> None:
    for boundary, states in ((FIRST, ["a", "a"]), (SECOND, ["a", "b"])):
        pipeline.run(orders(pa.table({"id": [1, 2], "state": states}), write_disposition=scd2(boundary)))

    found = rows(pipeline, "orders", "id", "state", "_dlt_valid_to")
    assert found == [(1, "a", None), (2, "a", moment(SECOND)), (2, "b", None)]


def test_a_limited_run_retires_nothing_and_says_so(pipeline: dlt.Pipeline) -> None:
    def found():
        yield {"id": 1}
        yield {"id": 2}

    pipeline.run(orders(found, write_disposition=scd2(FIRST)))
    info = pipeline.run(orders(found, write_disposition=scd2(SECOND)).add_limit(1))

    assert rows(pipeline, "orders", "id", "_dlt_valid_to") == [(1, None), (2, None)]
    info = pipeline.run(orders([{"id": 3}], write_disposition=scd2(SECOND)).add_limit(1))
    assert rows(pipeline, "orders", "id", "_dlt_valid_to") == [(1, None), (2, None), (3, None)]
    assert "not all of its source was read" in info.resources["orders"].warnings[0]


def test_an_incremental_with_a_merge_key_retires_only_what_changed(pipeline: dlt.Pipeline) -> None:
    def changed(found: list, boundary: str) -> Any:
        return orders(found, merge_key="id", incremental=dlt.sources.incremental("at"), write_disposition=scd2(boundary))

    pipeline.run(changed([{"id": 1, "at": 1, "v": "a"}, {"id": 2, "at": 1, "v": "a"}], FIRST))
    pipeline.run(changed([{"id": 1, "at": 2, "v": "b"}], SECOND))

    found = rows(pipeline, "orders", "id", "v", "_dlt_valid_to")
    assert found == [(1, "a", moment(SECOND)), (1, "b", None), (2, "a", None)]


# --- change of disposition ---------------------------------------------------------------------------------------


def test_a_table_changes_its_disposition_from_run_to_run(pipeline: dlt.Pipeline) -> None:
    keyed = {"primary_key": "id"}
    pipeline.run(orders([{"id": 1, "v": 1, "tags": ["a"]}, {"id": 1, "v": 2, "tags": ["b"]}, {"id": 2, "v": 1}]))
    pipeline.run(orders([{"id": 1, "v": 3, "tags": ["c"]}], **keyed, write_disposition="merge"))
    assert rows(pipeline, "orders", "id", "v") == [(1, 3), (2, 1)]

    pipeline.run(orders([{"id": 1, "v": 4, "tags": ["d"]}], **keyed, write_disposition=UPSERT))
    assert rows(pipeline, "orders__tags", "value") == [("d",)]

    pipeline.run(orders([{"id": 1, "v": 5, "tags": ["e"]}, {"id": 3, "v": 5}], **keyed, write_disposition=INSERT_ONLY))
    assert rows(pipeline, "orders", "id", "v") == [(1, 4), (2, 1), (3, 5)]
    assert rows(pipeline, "orders__tags", "value") == [("d",)]

    pipeline.run(orders([{"id": 9, "v": 9, "tags": ["z"]}], write_disposition="replace"))
    assert rows(pipeline, "orders", "id") == [(9,)]
    assert rows(pipeline, "orders__tags", "value") == [("z",)]
    stored = pipeline.default_schema.tables["orders"]
    assert (stored.write_disposition, stored.strategy) == ("replace", "delete-insert")


# --- what cannot work --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({"write_disposition": UPSERT}, "'upsert' finds stored rows by their primary key, and none is declared"),
        ({"write_disposition": INSERT_ONLY, "merge_key": "id"}, "'insert-only' finds stored rows by their primary key"),
        ({"write_disposition": CDC}, "'cdc' finds stored rows by their primary key"),
        (
            {"write_disposition": scd2(FIRST), "incremental": dlt.sources.incremental("id")},
            "'scd2' takes rows that do not come for gone, and an incremental cursor holds back",
        ),
        (
            {"write_disposition": "merge", "columns": {"a": {"hard_delete": True}, "b": {"hard_delete": True}}},
            "columns 'a', 'b' all have the hint 'hard_delete'",
        ),
    ],
)
def test_hints_that_contradict_each_other_stop_a_run_before_it_begins(
    pipeline: dlt.Pipeline, hints: dict[str, Any], message: str
) -> None:
    asked = []

    def found():
        asked.append("for records")
        yield {"id": 1}

    with pytest.raises((DeclarationError, PipelineStepFailed), match=f"(?s)Resource 'orders'.*{message}"):
        pipeline.run(orders(found, **hints))

    assert asked == []
    assert pipeline.first_run
