"""What one repository of the sample API holds at the moment, and how tests and demos change it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dlt_orchestrate.testing.sample_api import records
from dlt_orchestrate.testing.sample_api.records import Record

_TICK = timedelta(minutes=1)


class UnknownIssueError(LookupError):
    """The repository has no issue of that number."""

    def __init__(self, *, repository: str, number: int) -> None:
        self.repository = repository
        self.number = number
        super().__init__(f"Repository {repository!r} of the sample API has no issue {number}.")


class SampleRepository:
    """Issues, comments and clone statistics of one repository, in memory. Safe to use from many threads.

    Its time is its own: it stands at the newest `updated_at` and goes on by one minute with every change.
    """

    def __init__(self, name: str, *, issues: int, comments: int) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._issues = {number: records.issue(name, number) for number in range(1, issues + 1)}
        self._comments = [records.comment(name, number) for number in range(1, comments + 1)]
        self._clones = records.clones(name)
        self._now = max((_moment(record["updated_at"]) for record in self._all()), default=records.FIRST_DAY)
        self._last_number = issues

    def describe(self) -> Record:
        """The record of the repository itself."""
        with self._lock:
            open_issues = sum(record["state"] == "open" for record in self._issues.values())
            return records.repository(self.name, open_issues=open_issues, updated_at=records.timestamp(self._now))

    def issues(
        self, *, state: str = "all", since: datetime | None = None, sort: str = "created", descending: bool = True
    ) -> list[Record]:
        """Copies of the issues in that state that were updated at `since` or later.

        Args:
            sort: `created`, `updated` or `comments`.
        """
        key = {"created": "created_at", "updated": "updated_at", "comments": "comments"}[sort]
        with self._lock:
            found = [record for record in self._issues.values() if state in ("all", record["state"])]
            found.sort(key=lambda record: (record[key], record["number"]), reverse=descending)
            return copy.deepcopy(_updated_since(found, since))

    def comments(self, *, since: datetime | None = None) -> list[Record]:
        """Copies of the comments that were updated at `since` or later, oldest first."""
        with self._lock:
            return copy.deepcopy(_updated_since(self._comments, since))

    def clones(self) -> Record:
        """A copy of the clone statistics."""
        with self._lock:
            return copy.deepcopy(self._clones)

    def touch(self, number: int, **fields: object) -> Record:
        """Change fields of an issue and move its `updated_at` past every other; return a copy of it."""
        with self._lock:
            record = self._find(number)
            record.update({"updated_at": self._tick(), **copy.deepcopy(fields)})
            return copy.deepcopy(record)

    def add(self, count: int = 1) -> list[Record]:
        """Open new issues, each newer than everything before it; return copies of them."""
        with self._lock:
            added = []
            for _ in range(count):
                self._last_number += 1
                moment = self._tick()
                record = records.issue(self.name, self._last_number)
                record.update(state="open", state_reason=None, closed_at=None, created_at=moment, updated_at=moment)
                self._issues[self._last_number] = record
                added.append(record)
            return copy.deepcopy(added)

    def remove(self, number: int) -> Record:
        """Delete an issue without a trace, as a transfer to another repository does; return it."""
        with self._lock:
            self._find(number)
            return self._issues.pop(number)

    def _find(self, number: int) -> Record:
        if number not in self._issues:
            raise UnknownIssueError(repository=self.name, number=number)
        return self._issues[number]

    def _tick(self) -> str:
        self._now += _TICK
        return records.timestamp(self._now)

    def _all(self) -> Iterable[Record]:
        yield from self._issues.values()
        yield from self._comments


def _updated_since(found: list[Record], since: datetime | None) -> list[Record]:
    if since is None:
        return found
    return [record for record in found if _moment(record["updated_at"]) >= since]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
