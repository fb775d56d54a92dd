"""What is known of tables before anything runs."""

from __future__ import annotations

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError


def never_read():
    raise AssertionError("discovery reads nothing")
    yield


@dlt.source
def shop():
    yield dlt.resource(
        never_read,
        name="Orders",
        primary_key="orderId",
        write_disposition="merge",
        columns={"price": {"data_type": "decimal", "precision": 10, "scale": 2}, "note": {"description": "free text"}},
    )
    yield dlt.resource(
        never_read, name="events", table_name=lambda row: f"events_{row['kind']}", columns={"at": {"data_type": "date"}}
    )
    yield dlt.resource(never_read, name="people", selected=False)


def test_a_source_tells_the_tables_of_its_selected_resources() -> None:
    schema = shop().discover_schema()

    assert (schema.name, schema.data_table_names()) == ("shop", ["orders"])
    orders = schema.tables["orders"]
    assert (orders["resource"], orders["write_disposition"]) == ("Orders", "merge")
    assert schema.get_table_columns("orders", include_incomplete=True) == {
        "price": {"name": "price", "data_type": "decimal", "precision": 10, "scale": 2, "nullable": True},
        "note": {"name": "note", "nullable": True, "description": "free text"},
        "order_id": {"name": "order_id", "nullable": False, "primary_key": True},
    }
    assert '"orders" {' in schema.to_mermaid()


def test_a_record_tells_the_tables_that_depend_on_it() -> None:
    schema = shop().discover_schema({"kind": "click"})

    assert schema.data_table_names() == ["orders", "events_click"]
    assert schema.tables["events_click"]["columns"]["at"]["data_type"] == "date"


def test_what_is_edited_is_known() -> None:
    source = shop().with_resources("people")
    source.people.apply_hints(table_name="staff", columns={"id": {"data_type": "bigint"}})

    assert list(source.discover_schema().tables["staff"].columns) == ["id"]


def test_resources_that_fill_one_table_tell_its_columns_together() -> None:
    @dlt.source
    def both():
        for name in ("a", "b"):
            yield dlt.resource(never_read, name=name, table_name="t", columns={name: {"data_type": "text"}})

    assert list(both().discover_schema().tables["t"].columns) == ["a", "b"]


def test_a_resource_tells_its_table_in_the_words_of_its_declaration() -> None:
    assert shop().resources["Orders"].compute_table_schema() == {
        "name": "Orders",
        "columns": {
            "price": {"name": "price", "data_type": "decimal", "precision": 10, "scale": 2, "nullable": True},
            "note": {"name": "note", "nullable": True, "description": "free text"},
            "orderId": {"name": "orderId", "nullable": False, "primary_key": True},
        },
        "write_disposition": "merge",
        "resource": "Orders",
    }


def test_a_table_that_depends_on_the_record_needs_one() -> None:
    events = shop().resources["events"]

    with pytest.raises(DeclarationError, match=r"Resource 'events': .* Pass a record: compute_table_schema\(record\)"):
        events.compute_table_schema()

    assert events.compute_table_schema({"kind": "view"})["name"] == "events_view"
