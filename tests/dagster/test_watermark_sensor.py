"""The watermark sensor on real databases."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.dagster.watermark_sensor import build_table_watermark_sensor
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.pipeline import Pipeline

NEWEST = "SELECT max(changed_at) FROM orders"


@dg.asset
def orders() -> None:
    """Something to materialize."""


class Shop:
    """A database of orders, and how to connect to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.run("CREATE TABLE orders (changed_at TEXT)")

    def run(self, sql: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(sql)
        connection.close()

    def connect(self) -> sqlite3.Connection:
        self.connections += 1
        return sqlite3.connect(self.path)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


def tick(sensor: dg.SensorDefinition, cursor: str | None = None) -> tuple[list[str | None], str | None, str | None]:
    """Evaluate once; give the run keys, the cursor to store, and the reason for skipping."""
    defs = dg.Definitions(assets=[orders], sensors=[sensor])
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, cursor=cursor, definitions=defs) as context,
    ):
        result = sensor.evaluate_tick(context)
    return [request.run_key for request in result.run_requests or []], result.cursor or cursor, result.skip_message


def test_a_value_that_changes_launches_a_run_also_when_it_comes_back(shop: Shop) -> None:
    sensor = build_table_watermark_sensor(NEWEST, [orders], name="newest", connect=shop.connect)

    none_yet, cursor, reason = tick(sensor)
    keys: list[str | None] = []
    for sql in (
        "INSERT INTO orders VALUES ('2026-01-01')",
        "INSERT INTO orders VALUES ('2026-01-02')",
        "DELETE FROM orders WHERE changed_at = '2026-01-02'",
    ):
        shop.run(sql)
        launched, cursor, _ = tick(sensor, cursor)
        keys += launched
    still, cursor, same = tick(sensor, cursor)

    assert (none_yet, reason) == ([], "The query has no value yet.")
    assert keys == ["2026-01-01|1", "2026-01-02|2", "2026-01-01|3"]
    assert (still, same) == ([], "The value is still 2026-01-01.")
    assert json.loads(cursor or "") == {"version": 1, "counter": 3, "begun": "", "value": "2026-01-01"}
    assert shop.connections == 5


def test_a_destination_is_asked_through_its_pipeline(warehouse: Pipeline) -> None:
    sensor = build_table_watermark_sensor("SELECT max(id) FROM visits", [orders], name="newest", pipeline=warehouse)

    missing = tick(sensor)
    warehouse.run([{"id": 1}, {"id": 7}], table_name="visits")
    keys, _, _ = tick(sensor, missing[1])

    assert missing[0] == []
    assert keys == ["7|1"]


def test_an_answer_that_takes_too_long_skips_and_no_second_question_is_put_meanwhile(shop: Shop) -> None:
    asked, answer = [], threading.Event()

    def connect() -> Any:
        asked.append("once")
        answer.wait()
        return shop.connect()

    sensor = build_table_watermark_sensor(NEWEST, [orders], name="newest", connect=connect, timeout_seconds=0.05)
    first, second = tick(sensor), tick(sensor)
    answer.set()

    assert first[2] == "The query was not answered within 0.05 s. The next tick tries again."
    assert second[2] == "The query of an earlier tick is still waiting for its answer. The next tick tries again."
    assert asked == ["once"]


def test_a_database_that_cannot_be_reached_skips_with_the_reason(tmp_path: Path) -> None:
    sensor = build_table_watermark_sensor(
        NEWEST, [orders], name="newest", connect=lambda: sqlite3.connect(tmp_path / "no" / "such.db")
    )

    keys, cursor, reason = tick(sensor, '{"version": 1, "counter": 2, "value": "b"}')

    assert keys == []
    assert cursor == '{"version": 1, "counter": 2, "value": "b"}'
    assert reason == "OperationalError: unable to open database file The next tick tries again."


def test_what_must_be_mended_fails_the_tick() -> None:
    def connect() -> Any:
        raise KeyError("no such setting")

    sensor = build_table_watermark_sensor(NEWEST, [orders], name="newest", connect=connect)

    with pytest.raises(Exception, match="no such setting"):
        tick(sensor)


@pytest.mark.parametrize("stored", ['{"version": 2}', '{"version": 1, "value": 7}', "nonsense"])
def test_a_cursor_that_cannot_be_read_is_forgotten(shop: Shop, stored: str) -> None:
    shop.run("INSERT INTO orders VALUES ('b')")
    sensor = build_table_watermark_sensor(NEWEST, [orders], name="newest", connect=shop.connect)

    (key,), cursor, _ = tick(sensor, stored)

    assert (key or "").startswith("b|1|")
    assert tick(sensor, cursor)[0] == []


def test_it_must_be_told_where_to_ask(warehouse: Pipeline, shop: Shop) -> None:
    with pytest.raises(DeclarationError, match="either pipeline="):
        build_table_watermark_sensor(NEWEST, [orders], name="newest")
    with pytest.raises(DeclarationError, match="either pipeline="):
        build_table_watermark_sensor(NEWEST, [orders], name="newest", pipeline=warehouse, connect=shop.connect)
