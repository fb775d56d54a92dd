"""The pages of children, which several threads fetch side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from dlt_orchestrate.sources.rest_api.children import ChildPages, Gate

ROWS, PAGES = 16, 40


class LeftSlowly(threading.Condition):
    """Threads that fetch are held up right behind the lock, when the reader may send another one after the same pages."""

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.002)


def test_only_one_thread_at_a_time_fetches_the_children_of_a_row() -> None:
    def walk(row: int) -> Iterator[list[tuple[int, int]]]:
        for number in range(PAGES):
            time.sleep(0.001)  # for the answer
            yield [(row, number)]

    pages = ChildPages(
        iter(range(ROWS)), walk=walk, is_end=lambda error: False, failed=lambda row, error: error, gate=Gate(4)
    )
    pages._changed = LeftSlowly()

    read = [page[0] for page in pages]

    assert sorted(read) == [(row, number) for row in range(ROWS) for number in range(PAGES)]
    for row in range(ROWS):
        assert [number for of, number in read if of == row] == list(range(PAGES))
