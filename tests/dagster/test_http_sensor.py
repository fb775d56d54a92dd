"""The HTTP sensor against a real server on loopback."""

import json
import socket
from collections.abc import Iterator

import dagster as dg
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from dlt_orchestrate.dagster.http_sensor import HttpCursor, build_http_sensor


@dg.asset
def issues() -> None:
    """Something to materialize."""


@dg.asset
def other() -> None:
    """Something else."""


class Page:
    """An address whose content a test can change."""

    def __init__(self, server: HTTPServer) -> None:
        self.text = "A"
        self.status = 200
        self.validators = True
        self.asked: list[Request] = []
        self.url = server.url_for("/issues")
        server.expect_request("/issues").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        if self.status != 200:
            return Response("", self.status)
        response = Response(self.text)
        if self.validators:
            response.set_etag(self.text)
            response.make_conditional(request)
        return response


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1") as server:
        yield server


@pytest.fixture
def page(server: HTTPServer) -> Page:
    return Page(server)


def tick(sensor: dg.SensorDefinition, cursor: str | None) -> tuple[list[str], str | None, str | None]:
    """Evaluate once; give the run keys, the cursor to store, and the reason for skipping."""
    defs = dg.Definitions(assets=[issues], sensors=[sensor])
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, cursor=cursor, definitions=defs) as context,
    ):
        result = sensor.evaluate_tick(context)
    return [request.run_key or "" for request in result.run_requests or []], result.cursor or cursor, result.skip_message


def test_a_change_launches_one_run_and_no_change_none(page: Page) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")

    first, cursor, _ = tick(sensor, None)
    second, cursor, reason = tick(sensor, cursor)

    assert first == ['"A"|1']
    assert second == []
    assert reason == f"{page.url} has not changed."
    assert page.asked[1].headers["If-None-Match"] == '"A"'
    assert json.loads(cursor or "") == {
        "version": 1, "begun": "", "etag": '"A"', "last_modified": None, "observed": '"A"', "counter": 1,
    }  # fmt: skip


def test_a_value_that_comes_back_launches_again(page: Page) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    cursor, keys = None, []

    for page.text in ["A", "B", "A"]:
        launched, cursor, _ = tick(sensor, cursor)
        keys += launched

    assert keys == ['"A"|1', '"B"|2', '"A"|3']


def test_the_same_tick_again_asks_for_the_same_run(page: Page) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    _, cursor, _ = tick(sensor, None)
    page.text = "B"

    assert tick(sensor, cursor)[0] == tick(sensor, cursor)[0] == ['"B"|2']


def test_a_server_without_validators_is_compared_by_its_content(page: Page) -> None:
    page.validators = False
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")

    first, cursor, _ = tick(sensor, None)
    second, cursor, _ = tick(sensor, cursor)
    page.text = "B"
    third, _, _ = tick(sensor, cursor)

    assert (len(first), len(second), len(third)) == (1, 0, 1)


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_status_skips_with_the_status_and_keeps_the_cursor(page: Page, status: int) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    _, cursor, _ = tick(sensor, None)
    page.status = status

    launched, kept, reason = tick(sensor, cursor)

    assert launched == []
    assert kept == cursor
    assert reason is not None
    assert str(status) in reason


def test_an_address_that_cannot_be_reached_skips_with_the_reason_and_keeps_the_cursor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sensor = build_http_sensor(f"http://user:pa55@127.0.0.1:{port}/x?access_token=s3cret", [issues], name="issues_changed")

    launched, kept, reason = tick(sensor, "{}")

    assert launched == []
    assert kept == "{}"
    assert reason is not None
    assert "Connection refused" in reason
    assert "The next tick tries again." in reason
    assert "pa55" not in reason
    assert "s3cret" not in reason


def test_address_and_headers_may_be_given_at_the_tick(page: Page) -> None:
    sensor = build_http_sensor(
        lambda: page.url, [issues], name="issues_changed", headers=lambda: {"Authorization": "Bearer t"}
    )

    assert page.asked == []
    tick(sensor, None)

    assert page.asked[0].headers["Authorization"] == "Bearer t"


def test_a_redirect_to_another_origin_is_followed_without_credentials(page: Page) -> None:
    with HTTPServer(host="127.0.0.1") as other:
        moved = Response("", 302, headers={"Location": page.url})
        other.expect_request("/moved").respond_with_response(moved)
        sensor = build_http_sensor(
            other.url_for("/moved"), [issues], name="issues_changed", headers={"Authorization": "Bearer t"}
        )
        launched, _, _ = tick(sensor, None)

    assert launched == ['"A"|1']
    assert "Authorization" not in page.asked[0].headers


@pytest.mark.parametrize(
    "stored",
    ['{"version": 99, "place": "elsewhere"}', '{"version": 1, "counter": "many"}', '{"version": 1, "etag": 7}', "{", "[1]"],
)
def test_a_cursor_that_cannot_be_read_is_forgotten_and_repeats_no_run_key(page: Page, stored: str) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    (first,), _, _ = tick(sensor, None)

    (key,), cursor, _ = tick(sensor, stored)

    assert key.startswith('"A"|1|')
    assert key != first
    assert tick(sensor, stored)[0] == [key]  # the same tick again
    assert tick(sensor, cursor)[0] == []


def test_a_cursor_of_the_first_release_is_read(page: Page) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    stored = {"version": 1, "etag": '"A"', "last_modified": None, "observed": '"A"', "counter": 4}
    page.text = "B"

    assert tick(sensor, json.dumps(stored))[0] == ['"B"|5']


def test_after_the_cursor_was_reset_run_keys_do_not_repeat_those_before() -> None:
    anew = HttpCursor.read(None, last_run_key='"A"|1')

    assert HttpCursor.read(None).run_key("x") == "x|0"
    assert anew.run_key("x") == f"x|0|{anew.begun}"
    assert len(anew.begun) == 8


def test_while_a_run_for_the_assets_is_under_way_nothing_is_asked(page: Page, instance: dg.DagsterInstance) -> None:
    sensor = build_http_sensor(page.url, [issues], name="issues_changed")
    defs = dg.Definitions(assets=[issues, other], sensors=[sensor], jobs=[dg.define_asset_job("all_of_it")])
    keys = {"of_others": frozenset([other.key]), "of_ours": frozenset([issues.key]), "of_a_job": None}
    reasons = {}

    for case, selection in keys.items():
        run = instance.create_run_for_job(
            defs.resolve_job_def("all_of_it"), status=dg.DagsterRunStatus.STARTED, asset_selection=selection
        )
        with dg.build_sensor_context(instance, definitions=defs) as context:
            reasons[case] = sensor.evaluate_tick(context).skip_message
        instance.delete_run(run.run_id)
        if case != "of_others":
            assert run.run_id in (reasons[case] or "")

    assert reasons["of_others"] is None
    assert len(page.asked) == 1
