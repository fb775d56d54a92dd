"""Sources of many shapes, written once for dlt and for this package: both are given as `dlt`.

Each shape is a first load, which dlt makes, and a second one, which is made on top of it by dlt when the expected result is
recorded, and by this package when it is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

PIPELINE = "shop"
DATASET = "shop_data"


@dataclass(frozen=True)
class Shape:
    """One shape.

    Attributes:
        source: From the package and the number of the run, what is loaded.
        arguments: For `pipeline.run`.
        environment: Set for the runs.
        pipeline: For `dlt.pipeline`.
    """

    source: Callable[[Any, int], Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)


def appended(dlt: Any, run: int) -> Any:
    """Events with nested rows and a cursor; the second run sees the last one of the first again."""

    @dlt.resource
    def events(at=dlt.sources.incremental("at", initial_value="2024-01-01T00:00:00Z")):
        if run == 1:
            yield [
                {"at": "2024-01-01T00:00:00Z", "what": "open", "tags": ["a", "b"]},
                {"at": "2024-01-02T00:00:00Z", "what": "sale", "tags": [], "by": {"name": "Ada"}},
            ]
        else:
            yield [
                {"at": "2024-01-01T00:00:00Z", "what": "old", "tags": ["no"]},
                {"at": "2024-01-02T00:00:00Z", "what": "sale", "tags": [], "by": {"name": "Ada"}},
                {"at": "2024-01-03T00:00:00Z", "what": "close", "tags": ["c"], "by": {"name": "Bob"}},
            ]

    return events()


def replaced(dlt: Any, run: int) -> Any:
    @dlt.resource(write_disposition="replace")
    def rooms():
        yield [{"n": run, "chairs": [{"legs": 4}, {"legs": 2 + run}]}]

    return rooms()


def merged(dlt: Any, run: int) -> Any:
    """A merge with nested tables two levels deep and a cursor."""

    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(changed=dlt.sources.incremental("changed", initial_value=0)):
        if run == 1:
            yield [
                {"id": 1, "changed": 1, "lines": [{"sku": "tea", "lots": [1, 2]}, {"sku": "cup", "lots": []}]},
                {"id": 2, "changed": 2, "lines": [{"sku": "pot", "lots": [3]}]},
            ]
        else:
            assert changed.last_value in (2, 4)
            yield [
                {"id": 1, "changed": 1, "lines": [{"sku": "old", "lots": [9]}]},
                {"id": 2, "changed": 3, "lines": [{"sku": "jug", "lots": [4, 5]}], "note": "new column"},
                {"id": 3, "changed": 4, "lines": []},
            ]

    return orders()


def upserted(dlt: Any, run: int) -> Any:
    @dlt.resource(primary_key="id", write_disposition={"disposition": "merge", "strategy": "upsert"})
    def people():
        yield (
            [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob"}]
            if run == 1
            else [
                {"id": 2, "name": "Bobby"},
                {"id": 3, "name": "Cy"},
            ]
        )

    return people()


def upserted_with_nested(dlt: Any, run: int) -> Any:
    @dlt.resource(primary_key="id", write_disposition={"disposition": "merge", "strategy": "upsert"})
    def teams():
        yield (
            [{"id": 1, "members": ["Ada"]}, {"id": 2, "members": ["Bob", "Cy"]}]
            if run == 1
            else [
                {"id": 2, "members": ["Bob", "Di"]},
                {"id": 3, "members": []},
            ]
        )

    return teams()


def versioned(dlt: Any, run: int) -> Any:
    """Versions: a row stays, one changes, one goes, one comes."""

    @dlt.resource(write_disposition={"disposition": "merge", "strategy": "scd2"})
    def prices():
        yield (
            [{"sku": "tea", "eur": 3}, {"sku": "cup", "eur": 7}, {"sku": "pot", "eur": 20}]
            if run == 1
            else [
                {"sku": "tea", "eur": 3},
                {"sku": "cup", "eur": 8},
                {"sku": "jug", "eur": 9},
            ]
        )

    return prices()


def varied(dlt: Any, run: int) -> Any:
    """Values of a second type, which dlt keeps in a column of its own."""

    @dlt.resource
    def readings():
        yield [{"n": 1, "v": 1}, {"n": 2, "v": "two"}] if run == 1 else [{"n": 3, "v": 3}, {"n": 4, "v": "four"}]

    return readings()


def remembered(dlt: Any, run: int) -> Any:
    """State of the source and of a resource, beside a cursor with a resource of another name than its table."""

    @dlt.source(name="memory")
    def memory():
        @dlt.resource(name="visits", table_name="log_of_visits")
        def visits(n=dlt.sources.incremental("n", initial_value=0)):
            own = dlt.current.resource_state()
            own["pages"] = own.get("pages", 0) + 1
            shared = dlt.current.source_state()
            shared["runs"] = shared.get("runs", 0) + 1
            assert shared["runs"] == run == own["pages"]
            yield [{"n": n, "run": run} for n in range(1, 3 + run)]

        return visits

    return memory()


def scattered(dlt: Any, run: int) -> Any:
    """Tables chosen by the rows."""

    @dlt.resource(table_name=lambda row: f"of_{row['kind']}", primary_key="id", write_disposition="merge")
    def things():
        yield [{"id": run, "kind": "tea"}, {"id": 1, "kind": "cup", "run": run}, {"id": 7, "kind": f"new_{run}"}]

    return things()


def typed(dlt: Any, run: int) -> Any:
    """Every type that records have."""

    @dlt.resource(
        columns={
            "wei": {"data_type": "wei"},
            "doc": {"data_type": "json"},
            "small": {"data_type": "bigint", "precision": 16},
            "money": {"data_type": "decimal", "precision": 10, "scale": 2},
            "local": {"data_type": "timestamp", "timezone": False},
            "code": {"data_type": "text", "precision": 12},
        }
    )
    def values():
        yield {
            "b": run == 1,
            "i": 2**40 + run,
            "f": 1.5 * run,
            "d": Decimal("1.5"),
            "t": "naïve ☃",
            "at": datetime(2024, 1, run, 12, tzinfo=UTC),
            "iso": f"2024-01-0{run}T10:00:00+02:00",
            "day": date(2024, 1, run),
            "clock": time(12, 30, run),
            "raw": b"\x00\xff",
            "wei": 10**18 + run,
            "doc": {"a": [run]},
            "small": run,
            "money": Decimal("12.34"),
            "local": datetime(2024, 1, run, 12),
            "naive": datetime(2024, 1, run, 12),
            "naive_text": f"2024-01-0{run}T12:00:00",
            "code": "abc",
        }

    return values()


def two_sources(dlt: Any, run: int) -> Any:
    @dlt.source(name="east")
    def east():
        @dlt.resource(primary_key="id", write_disposition="merge")
        def eastern():
            yield [{"id": run, "side": "east"}]

        return eastern

    @dlt.source(name="west")
    def west():
        @dlt.resource
        def western(n=dlt.sources.incremental("n", initial_value=0)):
            yield [{"n": n} for n in range(1, 2 + run)]

        return western

    return [east(), west()]


def flat(dlt: Any, run: int) -> Any:
    """Nested values kept in one column."""

    @dlt.resource(max_table_nesting=0)
    def bags():
        yield {"n": run, "inside": {"a": {"b": run}}, "list": [1, [2]]}

    return bags()


def oddly_named(dlt: Any, run: int) -> Any:
    @dlt.resource(name="My Orders")
    def orders():
        yield {"Id": run, "userName": "Ada", "a-b": 1.5, "orderLines": [{"Sku": "s"}], "naïve": "x"}

    return orders()


def of_arrow(dlt: Any, run: int) -> Any:
    """An Arrow table: dlt gives its rows neither ids nor load ids."""

    @dlt.resource
    def measures():
        import pyarrow as pa

        yield pa.table({"n": pa.array([run, 10 * run]), "v": pa.array([0.5, None])})

    return measures()


def of_arrow_merged(dlt: Any, run: int) -> Any:
    @dlt.resource(primary_key="n", write_disposition="merge")
    def levels():
        import pyarrow as pa

        yield pa.table({"n": pa.array([1, run]), "v": pa.array([run, run])}) if run == 2 else pa.table({"n": [1], "v": [1]})

    return levels()


def by_date(dlt: Any, run: int) -> Any:
    """Cursors that are dates and moments, not texts."""

    @dlt.source(name="by_date")
    def of_days():
        @dlt.resource(primary_key="day", write_disposition="merge")
        def days(day=dlt.sources.incremental("day", initial_value=date(2024, 1, 1))):
            assert run == 1 or day.last_value == date(2024, 1, run)
            yield [{"day": date(2024, 1, n), "fine": True} for n in range(1, 2 + run)]

        @dlt.resource
        def moments(at=dlt.sources.incremental("at", initial_value=datetime(2024, 1, 1, tzinfo=UTC))):
            yield [{"at": datetime(2024, 1, n, tzinfo=UTC), "run": 0} for n in range(1, 3 + run)]

        return days, moments

    return of_days()


def versioned_with_nested(dlt: Any, run: int) -> Any:
    @dlt.resource(write_disposition={"disposition": "merge", "strategy": "scd2"})
    def menus():
        yield (
            [
                {
                    "day": "mon",
                    "at": datetime(2024, 1, 1),
                    "cost": Decimal("1.5"),
                    "meals": [{"name": "soup"}],
                    "none": None,
                },
                {"day": "tue", "meals": [{"name": "rice"}, {"name": "tea"}]},
                {"day": "wed", "meals": []},
            ]
            if run == 1
            else [
                {
                    "day": "mon",
                    "at": datetime(2024, 1, 1),
                    "cost": Decimal("1.5"),
                    "meals": [{"name": "soup"}],
                    "none": None,
                },
                {"day": "tue", "meals": [{"name": "rice"}, {"name": "cake"}]},
            ]
        )

    return menus()


def keyed_append(dlt: Any, run: int) -> Any:
    """Appended rows that are told apart at the cursor's boundary by their keys, of one column and of two."""

    @dlt.source(name="keyed")
    def keyed():
        @dlt.resource(primary_key="id")
        def one(n=dlt.sources.incremental("n", initial_value=0)):
            yield [{"id": k, "n": min(k, 2), "run": run} for k in range(1, 3 + run)]

        @dlt.resource(primary_key=["a", "b"])
        def two(n=dlt.sources.incremental("n", initial_value=0)):
            yield [{"a": k, "b": "x", "n": min(k, 2), "run": run} for k in range(1, 3 + run)]

        return one, two

    return keyed()


SHAPES = {
    "versioned_with_nested": Shape(versioned_with_nested),
    "keyed_append": Shape(keyed_append),
    "appended": Shape(appended),
    "replaced": Shape(replaced),
    "merged": Shape(merged),
    "upserted": Shape(upserted),
    "upserted_with_nested": Shape(upserted_with_nested),
    "versioned": Shape(versioned),
    "varied": Shape(varied),
    "remembered": Shape(remembered),
    "scattered": Shape(scattered),
    "typed": Shape(typed),
    "two_sources": Shape(two_sources),
    "flat": Shape(flat),
    "oddly_named": Shape(oddly_named, environment={"SCHEMA__NAMING": "sql_cs_v1"}),
    "of_arrow": Shape(of_arrow),
    "of_arrow_merged": Shape(of_arrow_merged),
    "by_date": Shape(by_date),
    "in_dev_mode": Shape(merged, pipeline={"dev_mode": True}),
}
