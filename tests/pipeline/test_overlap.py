"""Pages are normalized while their source waits: in order, in bounded memory, and with every row."""

from __future__ import annotations

import threading
import time

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.pipeline.overlap import Overlap


def page(number: int) -> Page:
    return Page("t", [{"id": number}])


def test_a_page_is_taken_beside_a_source_that_waits() -> None:
    is_asked, may_go_on = threading.Event(), threading.Event()
    taken_in = []

    def take(_: Page) -> None:
        taken_in.append(threading.current_thread())
        is_asked.set()
        assert may_go_on.wait(60)

    with Overlap(take) as overlap:
        overlap.give(page(1), waited_seconds=0.02)
        assert is_asked.wait(60)  # `give` has returned, and the page is being taken
        may_go_on.set()
        overlap.settle()
    assert taken_in != [threading.current_thread()]


def test_a_source_that_computes_gets_no_thread_beside_it() -> None:
    taken_in = []
    with Overlap(lambda _: taken_in.append(threading.current_thread())) as overlap:
        for number in range(3):
            overlap.give(page(number), waited_seconds=0.0)
    assert taken_in == [threading.current_thread()] * 3


def test_order_holds_when_waiting_and_computing_alternate() -> None:
    taken: list[int] = []
    with Overlap(lambda taking: taken.append(taking.rows[0]["id"])) as overlap:
        for number in range(500):
            overlap.give(page(number), waited_seconds=0.02 if number % 3 else 0.0)
        overlap.settle()
    assert taken == list(range(500))


def test_a_source_that_is_faster_is_held_back() -> None:
    given = taken = 0
    most = 0

    def take(_: Page) -> None:
        nonlocal taken, most
        most = max(most, given - taken)
        taken += 1

    rows = [{"text": "x" * 1_000}] * 10
    with Overlap(take, bytes_in_flight=25_000) as overlap:
        for _ in range(200):
            overlap.give(Page("t", rows), waited_seconds=0.02)
            given += 1
        overlap.settle()
    assert taken == 200
    assert most <= 3  # two pages of ten kilobytes, and the one that is being taken


def test_what_fails_beside_the_source_fails_the_load() -> None:
    @dlt.resource
    def slow():
        for number in range(50):
            time.sleep(0.002)
            yield [{"id": number, "value": {number}}] * 40

    pipeline = dlt.pipeline("overlap", destination="memory")
    with pytest.raises(PipelineStepFailed, match="slow") as failed:
        pipeline.run(slow)
    assert failed.value.step == "normalize"
    assert not pipeline.has_data


def test_a_list_that_its_source_fills_again_loses_no_row() -> None:
    @dlt.resource
    def reused():
        batch = []
        for number in range(60):
            batch.append({"id": number})
            if len(batch) == 5:
                time.sleep(0.002)
                yield batch
                batch.clear()

    pipeline = dlt.pipeline("overlap", destination="memory")
    pipeline.run(reused)
    assert sorted(row[0] for row in pipeline.dataset()("SELECT id FROM reused").fetchall()) == list(range(60))
