"""The pages of children, which several threads fetch side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dlt_orchestrate.sources.rest_api.children import ChildPages, Gate

PAGES = 6


def test_only_one_thread_at_a_time_fetches_the_children_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has fetched far enough is held up behind the lock until the reader has sent another one."""
    walks, sent_again = [], threading.Event()

    class LeftLate(threading.Condition):
        def __exit__(self, *raised: Any) -> None:
            super().__exit__(*raised)
            is_far_ahead = walks and not walks[0].is_running and not walks[0].has_ended
            if is_far_ahead and threading.current_thread() is not threading.main_thread():
                sent_again.wait(1)

    def walk(row: int) -> Iterator[list[int]]:
        for number in range(PAGES):
            time.sleep(0.02)  # where a second thread would find the first one
            yield [number]

    pages = ChildPages(
        iter(["the only row"]), walk=walk, is_end=lambda error: False, failed=lambda row, error: error, gate=Gate(2)
    )
    pages._changed = LeftLate()
    submit = pages._threads.submit

    def submitted(advance: Any, walk: Any) -> Any:
        if walks:
            sent_again.set()
        walks.append(walk)
        return submit(advance, walk)

    monkeypatch.setattr(pages._threads, "submit", submitted)

    read = []
    for page in pages:
        read.append(page)
        time.sleep(0.05)  # so that pages are fetched ahead

    assert read == [[number] for number in range(PAGES)]
    assert sent_again.is_set()
