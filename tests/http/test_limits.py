"""Every limit has a name, a default, a setting, and a line in the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import HostileServer, answer, drip, head
from loopback import Api, FakeClock, Reply

from dlt_orchestrate.errors import IngestError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.failures import BodyTooLargeError, TooManyRedirectsError, TooManyValuesError
from dlt_orchestrate.http.guard import PageLimits
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.http.settings import DEFAULTS, RequestSettings, configured

PAGE = Path(__file__).parents[2] / "docs" / "http.md"


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    configured.cache_clear()
    yield monkeypatch
    configured.cache_clear()


def test_the_documentation_tells_every_limit_with_its_default() -> None:
    rows = re.findall(r"^\| `((?:request|paging)_\w+)` \| (\S+)(?: s)? \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    told = {name: () if default == "none" else float(default) for name, default in rows}
    assert told == dict(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_limit_can_be_configured(name: str, configuration: pytest.MonkeyPatch) -> None:
    configuration.setenv(f"RUNTIME__{name.upper()}", '["a.example"]' if DEFAULTS[name] == () else "7")

    assert RequestSettings().value(name) == (("a.example",) if DEFAULTS[name] == () else 7)


def test_a_limit_in_code_goes_before_the_configured_one_and_leaves_the_others(configuration: pytest.MonkeyPatch) -> None:
    configuration.setenv("RUNTIME__PAGING_MAX_PAGES", "7")
    configuration.setenv("RUNTIME__PAGING_MAX_SECONDS", "8")

    assert PageLimits(max_pages=3) == PageLimits(3, 100, 0, 200_000, 8.0)


@pytest.mark.parametrize(
    ("name", "value", "behave"),
    [
        ("request_attempt_seconds", "0.1", drip(head())),
        ("request_deadline_seconds", "0.1", drip(head())),
        ("request_max_redirects", "3", lambda _: [answer(b"", "Location: /", status="302 Found")]),
        ("request_max_header_bytes", "100", lambda _: [answer(b"[]", "X: " + "y" * 100)]),
        ("request_max_body_bytes", "100", lambda _: [answer(b"[]" + b" " * 99)]),
        ("request_max_wait_seconds", "5", lambda _: [answer(b"", "Retry-After: 6", status="503 Busy")]),
        ("request_max_attempts", "1", lambda _: []),
    ],
)
def test_the_error_at_each_configured_limit_names_it(
    hostile: HostileServer, configuration: pytest.MonkeyPatch, name: str, value: str, behave: Any
) -> None:
    configuration.setenv(f"RUNTIME__{name.upper()}", value)
    configuration.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")
    hostile.behave = behave

    with Session() as session, pytest.raises(IngestError, match=name):
        list(paginate(hostile.url, session=session))


def test_limits_can_be_set_on_a_session_that_is_there(api: Api, session: Session) -> None:
    session.max_body_bytes = 5
    api.answer = lambda _: [{"id": 1}]

    with pytest.raises(BodyTooLargeError, match="max_body_bytes=5,"):
        session.get(api.url)

    session.max_body_bytes, session.max_redirects = None, 2
    api.answer = lambda _: Reply(status=302, headers={"Location": "/"})
    with pytest.raises(TooManyRedirectsError, match="request_max_redirects=2 times"):
        session.get(api.url)


def test_a_small_text_that_makes_large_objects_is_not_decoded(api: Api, clock: FakeClock) -> None:
    api.answer = lambda _: Reply(b"[" + b"{}," * 5_000_000 + b"{}]")

    with Session(clock=clock) as session, pytest.raises(TooManyValuesError) as caught:
        list(paginate(api.url, session=session))

    assert "holds up to 10000002 values, more than request_max_json_values=10000000" in str(caught.value)
    assert "request_max_json_values in section [runtime]" in str(caught.value)


def test_large_pages_of_ordinary_records_are_decoded(api: Api, clock: FakeClock) -> None:
    rows = [{"id": n, "text": "x" * 900} for n in range(10_000)]
    api.answer = lambda _: Reply(json.dumps(rows).encode())

    with Session(clock=clock) as session:
        assert list(paginate(api.url, session=session)) == [rows]
