"""What a configuration asks an API for, and what becomes of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from loopback import Api, Asked, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, RestApiConfigError
from dlt_orchestrate.sources.rest_api import rest_api_resources, rest_api_source

POSTS = [{"id": n, "slug": f"p/{n}", "author": {"name": f"a{n}"}, "at": f"2024-01-0{n}T00:00:00Z"} for n in range(1, 6)]


def blog(asked: Asked) -> Any:
    """Posts in pages of two, comments in pages of two, likes of a comment in one page."""
    match asked.path.strip("/").split("/"):
        case ["posts"]:
            found = [post for post in POSTS if post["at"] >= asked.params.get("since", "")]
            return paged(asked, found)
        case ["posts", number]:
            return next((post for post in POSTS if post["id"] == int(number)), Reply(status=404))
        case ["posts", number, "comments"]:
            post = int(number)
            return paged(asked, [{"id": post * 10 + n, "text": f"c{n}"} for n in range(post)])
        case ["comments", number, "likes"]:
            return {"items": [{"who": f"u{number}"}]}
    return Reply(status=404)


def paged(asked: Asked, found: list[dict[str, Any]]) -> Reply:
    page = int(asked.params.get("page", 1))
    head = {"Content-Type": "application/json"}
    if page * 2 < len(found):
        head["Link"] = f'<{asked.path}?{urlencode({**asked.params, "page": page + 1})}>; rel="next"'
    return Reply(json.dumps(found[2 * page - 2 : 2 * page]).encode(), headers=head)


def config(api: Api, *resources: Any, **client: Any) -> dict[str, Any]:
    return {"client": {"base_url": api.url, "paginator": "header_link", **client}, "resources": list(resources)}


COMMENTS = {
    "name": "comments",
    "endpoint": "posts/{resources.posts.id}/comments",
    "include_from_parent": ["id"],
}


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("blog", destination="duckdb", dataset_name="blog")


def rows(pipeline: dlt.Pipeline, query: str) -> list[tuple[Any, ...]]:
    return pipeline.dataset()(query).fetchall()


def test_children_of_several_levels_are_loaded_beside_their_parents(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = blog
    likes = {
        "name": "likes",
        "endpoint": {
            "path": "comments/{resources.comments.id}/likes",
            "data_selector": "items",
            "paginator": "single_page",
        },
        "include_from_parent": ["id", "_posts_id"],
    }

    pipeline.run(rest_api_source(config(api, "posts", COMMENTS, likes)))

    assert pipeline.last_trace.last_normalize_info.row_counts == {
        "posts": 5,
        "comments": 15,
        "likes": 15,
    }
    assert rows(pipeline, "SELECT _posts_id, id, text FROM comments WHERE _posts_id = 3 ORDER BY id") == [
        (3, 30, "c0"),
        (3, 31, "c1"),
        (3, 32, "c2"),
    ]
    assert rows(pipeline, "SELECT who, _comments_id, _comments__posts_id FROM likes WHERE _comments_id = 21") == [
        ("u21", 21, 2)
    ]


def test_a_parent_is_asked_once_for_all_that_need_it_in_a_run_and_anew_in_the_next(
    api: Api, pipeline: dlt.Pipeline
) -> None:
    api.answer = blog
    details = {"name": "details", "endpoint": "posts/{resources.posts.id}"}
    source = rest_api_source(config(api, "posts", COMMENTS, details))

    for _ in range(2):
        api.asked.clear()
        pipeline.run(source)
        assert sum(asked.path == "/posts" for asked in api.asked) == 3

    api.asked.clear()
    pipeline.run(source.with_resources("comments"))
    assert sum(asked.path == "/posts" for asked in api.asked) == 3


def test_a_parent_that_is_not_selected_is_read_and_not_loaded(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = blog

    pipeline.run(rest_api_source(config(api, {"name": "posts", "selected": False}, COMMENTS)))

    assert pipeline.last_trace.last_normalize_info.row_counts == {"comments": 15}


def test_rows_of_children_come_in_an_order_that_timing_does_not_change(api: Api, pipeline: dlt.Pipeline) -> None:
    import random
    import time

    def slow(asked: Asked) -> Any:
        time.sleep(random.random() / 100)
        return blog(asked)

    api.answer = slow
    found = [
        [(row["_posts_id"], row["id"]) for row in rest_api_source(config(api, "posts", COMMENTS)).comments]
        for _ in range(3)
    ]

    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 15


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_no_more_requests_than_allowed_are_on_their_way_at_once(api: Api, concurrency: int) -> None:
    import threading

    lock, now, most = threading.Lock(), 0, 0

    def counting(asked: Asked) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            threading.Event().wait(0.005)
            return blog(asked)
        finally:
            with lock:
                now -= 1

    api.answer = counting
    posts = dlt.resource([{"id": n} for n in range(1, 6)], name="posts")

    comments = next(iter(rest_api_resources(config(api, posts, COMMENTS, concurrency=concurrency))[1:]))

    assert len(list(comments)) == 15
    assert 1 <= most <= concurrency
    assert api.connections <= concurrency  # they are kept alive, and used again


def test_placeholders_stand_in_path_query_headers_and_body(api: Api) -> None:
    def echo(asked: Asked) -> Any:
        if asked.path == "/posts":
            return POSTS[:1]
        return [
            {"path": asked.path, "body": json.loads(asked.body), "params": asked.params, "x": asked.headers["X-Author"]}
        ]

    api.answer = echo
    search = {
        "name": "search",
        "endpoint": {
            "path": "search/{resources.posts.slug}/of/{id}",
            "method": "post",
            "params": {
                "id": {"type": "resolve", "resource": "posts", "field": "id"},
                "q": "by {resources.posts.author.name}",
                "all": True,
            },
            "headers": {"X-Author": "{resources.posts.author.name}"},
            "json": {"id": "{resources.posts.id}", "query": "query { viewer { login }}", "as": ["{{resources.posts.id}}"]},
            "paginator": "single_page",
        },
    }

    (found,) = rest_api_source(config(api, "posts", search)).search

    assert found == {
        "path": "/search/p/1/of/1",
        "params": {"q": "by a1", "all": "true"},
        "x": "a1",
        "body": {"id": 1, "query": "query { viewer { login }}", "as": ["{resources.posts.id}"]},
    }


def test_values_of_parameters_stand_in_the_path_and_not_in_the_query(api: Api) -> None:
    def echo(asked: Asked) -> Any:
        return POSTS[:1] if asked.path == "/v2/posts" else [{"path": asked.path, "params": asked.params}]

    api.answer = echo
    source = rest_api_source(
        {
            **config(
                api,
                {"name": "posts", "endpoint": {"path": "{version}/posts", "params": {"sort": "id"}}},
                {"name": "post", "endpoint": {"path": "posts/{post_id}", "params": {"post_id": 1, "full": True}}},
                {"name": "named", "endpoint": {"path": "{version}/{of}/tags", "params": {"of": "a b?/c", "version": 3}}},
                {
                    "name": "both",
                    "endpoint": {
                        "path": "{version}/{of}/{id}",
                        "params": {
                            "of": "by-{resources.posts.author.name}",
                            "id": {"type": "resolve", "resource": "posts", "field": "id"},
                        },
                    },
                },
            ),
            "resource_defaults": {"endpoint": {"params": {"version": "v2", "lang": "en"}, "paginator": "single_page"}},
        }
    )

    assert [next(iter(source.resources[name])) for name in ("post", "named", "both")] == [
        {"path": "/posts/1", "params": {"full": "true", "lang": "en", "version": "v2"}},
        {"path": "/3/a%20b%3F/c/tags", "params": {"lang": "en"}},
        {"path": "/v2/by-a1/1", "params": {"lang": "en"}},
    ]


def test_a_path_with_a_value_in_it_is_read_as_if_it_were_written_there(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = blog
    listed = {"name": "listed", "endpoint": {"path": "{what}", "params": {"what": "posts"}}}
    one = {"name": "one", "endpoint": {"path": "posts/{post_id}", "params": {"post_id": 4}}}

    pipeline.run(rest_api_source(config(api, listed, one)))

    assert rows(pipeline, "SELECT id FROM listed ORDER BY id") == [(1,), (2,), (3,), (4,), (5,)]
    assert rows(pipeline, "SELECT id, author__name FROM one") == [(4, "a4")]


def test_a_value_of_a_row_leads_no_level_up(api: Api) -> None:
    api.answer = blog
    posts = dlt.resource([{"id": "../admin"}], name="posts")

    with pytest.raises(Exception, match=r"field 'id' is '../admin', which is no part of a path"):
        list(rest_api_resources(config(api, posts, COMMENTS))[1])

    assert api.asked == []


def test_processing_steps_work_on_the_way_to_the_table_and_to_children(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = blog
    posts = {
        "name": "posts",
        "processing_steps": [
            {"filter": lambda post: post["id"] > 2},
            {"map": lambda post: {**post, "title": f"post {post['id']}"}},
            {"yield_map": lambda post: [post] if post["id"] < 5 else []},
        ],
    }

    pipeline.run(rest_api_source(config(api, posts, COMMENTS)))

    assert rows(pipeline, "SELECT id, title FROM posts ORDER BY id") == [(3, "post 3"), (4, "post 4")]
    assert rows(pipeline, "SELECT count(*), min(_posts_id), max(_posts_id) FROM comments") == [(7, 3, 4)]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"incremental": {"cursor_path": "at", "initial_value": "2024-01-02T00:00:00Z", "start_param": "since"}},
        {"params": {"since": {"type": "incremental", "cursor_path": "at", "initial_value": "2024-01-02T00:00:00Z"}}},
        {"params": {"since": dlt.sources.incremental("at", initial_value="2024-01-02T00:00:00Z")}},
        {
            "params": {"since": "{incremental.start_value}"},
            "incremental": {"cursor_path": "at", "initial_value": "2024-01-02T00:00:00Z"},
        },
    ],
)
def test_only_what_is_new_is_asked_for_and_loaded(api: Api, pipeline: dlt.Pipeline, endpoint: dict[str, Any]) -> None:
    api.answer = blog
    source = rest_api_source(
        config(api, {"name": "posts", "primary_key": "id", "write_disposition": "merge", "endpoint": endpoint})
    )

    pipeline.run(source)
    pipeline.run(source)

    assert list(dict.fromkeys(asked.params["since"] for asked in api.asked)) == [
        "2024-01-02T00:00:00Z",
        "2024-01-05T00:00:00Z",
    ]
    assert rows(pipeline, "SELECT count(*) FROM posts") == [(4,)]
    assert pipeline.last_trace.last_normalize_info.row_counts == {}


def test_a_window_is_asked_for_by_its_start_and_end(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = blog
    source = rest_api_source(
        config(
            api,
            {
                "name": "posts",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {
                    "incremental": {
                        "cursor_path": "at",
                        "start_param": "since",
                        "end_param": "until",
                        "convert": lambda value: value[:10],
                    }
                },
            },
        )
    )

    pipeline.run(source, window=("2024-01-02T00:00:00+00:00", "2024-01-04T00:00:00+00:00"))

    assert (api.asked[0].params["since"], api.asked[0].params["until"]) == ("2024-01-02", "2024-01-04")
    assert rows(pipeline, "SELECT id FROM posts ORDER BY id") == [(2,), (3,)]


def test_answers_that_are_no_records_are_ignored_as_declared(api: Api) -> None:
    def answer(asked: Asked) -> Any:
        match asked.path:
            case "/posts":
                return [{"id": n} for n in (1, 2, 3, 4)]
            case "/posts/2/comments":
                return Reply(b"gone", status=410)
            case "/posts/3/comments":
                return {"error": "archived"}
        return [{"id": asked.path}]

    api.answer = answer
    seen: list[int] = []
    comments = {
        **COMMENTS,
        "endpoint": {
            "path": "posts/{resources.posts.id}/comments",
            "response_actions": [
                lambda response, *args, **kwargs: seen.append(response.status_code),
                {"status_code": 410, "action": "ignore"},
                {"status_code": 200, "content": "archived", "action": "ignore"},
            ],
        },
    }

    found = [row["id"] for row in rest_api_source(config(api, "posts", comments)).comments]

    assert found == ["/posts/1/comments", "/posts/4/comments"]
    assert sorted(seen) == [200, 200, 200, 410]


def test_a_child_that_is_missing_is_left_out_where_that_is_declared(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = lambda asked: Reply(status=404) if asked.path == "/posts/3/comments" else blog(asked)
    path = "posts/{resources.posts.id}/comments"
    forgiving = {
        **COMMENTS,
        "endpoint": {"path": path, "response_actions": [{"status_code": 404, "action": "ignore"}]},
    }

    pipeline.run(rest_api_source(config(api, "posts", forgiving)))

    assert rows(pipeline, "SELECT DISTINCT _posts_id FROM comments ORDER BY 1") == [(1,), (2,), (4,), (5,)]
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(rest_api_source(config(api, "posts", COMMENTS)))
    assert "Resource 'comments', for the row of 'posts' with id=3: GET " in str(caught.value)
    assert "404 Not Found" in str(caught.value)
    assert rows(pipeline, "SELECT count(*) FROM comments") == [(12,)]


def test_one_record_by_its_address_is_one_page(api: Api) -> None:
    api.answer = lambda asked: [{"id": 4}] if asked.path == "/ids" else {**POSTS[3], "tags": [{"n": 1}, {"n": 2}]}

    source = rest_api_source(
        config(api, {"name": "ids"}, {"name": "posts", "endpoint": "posts/{resources.ids.id}"}, paginator="auto")
    )

    assert [row["id"] for row in source.posts] == [4]


@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
def test_what_has_not_changed_is_not_sent_again_and_the_table_stays(
    api: Api, pipeline: dlt.Pipeline, disposition: str
) -> None:
    settings = {"theme": "dark"}

    def answer(asked: Asked) -> Reply:
        tag = f'"{settings["theme"]}"'
        if asked.headers.get("If-None-Match") == tag:
            return Reply(status=304, headers={"ETag": tag})
        head = {"ETag": tag, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Content-Type": "application/json"}
        return Reply(json.dumps([{"id": 1, **settings}]).encode(), headers=head)

    api.answer = answer
    theme = {
        "name": "theme",
        "endpoint": {"paginator": "single_page", "data_selector": "$"},
        "write_disposition": disposition,
        **({"primary_key": "id"} if disposition == "merge" else {}),
    }
    source = rest_api_source(config(api, theme))

    pipeline.run(source)
    pipeline.run(source)
    assert rows(pipeline, "SELECT theme FROM theme") == [("dark",)]
    settings["theme"] = "light"
    pipeline.run(source)

    conditions = [(asked.headers.get("If-None-Match"), asked.headers.get("If-Modified-Since")) for asked in api.asked]
    assert conditions == [(None, None), *[('"dark"', "Mon, 01 Jan 2024 00:00:00 GMT")] * 2]
    kept = [("dark",)] if disposition == "append" else []
    assert rows(pipeline, "SELECT theme FROM theme ORDER BY theme") == [*kept, ("light",)]


def test_the_condition_of_a_failed_load_is_not_kept(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = lambda asked: (
        Reply(status=304) if "If-None-Match" in asked.headers else Reply(b'[{"id": 1}]', headers={"ETag": '"1"'})
    )
    theme = {"name": "theme", "endpoint": {"paginator": "single_page"}}

    with pytest.raises(PipelineStepFailed):
        pipeline.run(rest_api_source(config(api, {**theme, "processing_steps": [{"map": lambda row: 1 / 0}]})))
    pipeline.run(rest_api_source(config(api, theme)))

    assert [asked.headers.get("If-None-Match") for asked in api.asked] == [None, None]
    assert rows(pipeline, "SELECT id FROM theme") == [(1,)]


def test_the_condition_of_an_earlier_answer_is_forgotten_when_one_without_comes(api: Api, pipeline: dlt.Pipeline) -> None:
    tagged = Reply(b'[{"id": 1}]', headers={"ETag": '"1"'})
    replies = [tagged, Reply(b'[{"id": 2}]'), tagged]
    api.answer = lambda asked: (
        Reply(status=304) if len(api.asked) == 3 and "If-None-Match" in asked.headers else replies[len(api.asked) - 1]
    )
    theme = {"name": "theme", "write_disposition": "replace", "endpoint": {"paginator": "single_page"}}

    for _ in replies:
        pipeline.run(rest_api_source(config(api, theme)))

    assert rows(pipeline, "SELECT id FROM theme") == [(1,)]


def test_another_table_is_filled_though_nothing_has_changed(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = lambda asked: (
        Reply(status=304) if "If-None-Match" in asked.headers else Reply(b'[{"id": 1}]', headers={"ETag": '"1"'})
    )
    theme = {"name": "theme", "endpoint": {"paginator": "single_page"}}

    pipeline.run(rest_api_source(config(api, theme)))
    pipeline.run(rest_api_source(config(api, {**theme, "table_name": "themes"})))

    assert rows(pipeline, "SELECT id FROM themes") == [(1,)]


class Tagged:
    """One list whose entity tag a test sets; `is_gone` answers 404 in its place."""

    def __init__(self) -> None:
        self.tag, self.ids, self.is_gone = "A", [1], False

    def __call__(self, asked: Asked) -> Any:
        if self.is_gone or asked.path != "/themes":
            return Reply(status=404)
        tag = f'"{self.tag}"'
        if asked.headers.get("If-None-Match") == tag:
            return Reply(status=304)
        return Reply(json.dumps([{"id": n} for n in self.ids]).encode(), headers={"ETag": tag})


THEMES = {
    "name": "themes",
    "write_disposition": "replace",
    "endpoint": {"paginator": "single_page", "response_actions": [{"status_code": 404, "action": "ignore"}]},
}


def test_a_table_that_an_ignored_answer_has_emptied_is_filled_again(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = tagged = Tagged()
    source = rest_api_source(config(api, THEMES))

    for is_gone in (False, True, False):
        tagged.is_gone = is_gone
        pipeline.run(source)

    assert rows(pipeline, "SELECT id FROM themes") == [(1,)]


def test_pages_that_a_child_has_read_first_leave_no_condition_of_an_earlier_answer(
    api: Api, pipeline: dlt.Pipeline
) -> None:
    api.answer = tagged = Tagged()
    endpoint = {"path": "themes/{resources.themes.id}", "response_actions": THEMES["endpoint"]["response_actions"]}
    source = rest_api_source(config(api, {"name": "parts", "endpoint": endpoint}, THEMES))

    pipeline.run(source.with_resources("themes"))
    tagged.tag, tagged.ids = "B", [1, 2]
    pipeline.run(source)
    tagged.tag, tagged.ids = "A", [1]
    pipeline.run(source.with_resources("themes"))

    assert rows(pipeline, "SELECT id FROM themes") == [(1,)]


def test_other_steps_and_hints_in_code_ask_without_conditions(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = tagged = Tagged()
    tagged.ids = [1, 2, 3]

    def loaded(most: int, **hints: Any) -> list[tuple[Any, ...]]:
        source = rest_api_source(config(api, THEMES))
        if most == 1:
            source.themes.add_filter(lambda row: row["id"] <= 1)
        if most == 2:
            source.themes.add_filter(lambda row: row["id"] <= 2)
        source.themes.apply_hints(**hints)
        pipeline.run(source)
        return rows(pipeline, f"SELECT id FROM {hints.get('table_name', 'themes')} ORDER BY id")

    assert loaded(1) == [(1,)]
    assert loaded(2) == loaded(2) == [(1,), (2,)]
    assert loaded(3) == [(1,), (2,), (3,)]
    assert loaded(3, table_name="others") == [(1,), (2,), (3,)]
    assert [asked.headers.get("If-None-Match") for asked in api.asked] == [None, None, '"A"', None, None]


def test_another_write_disposition_asks_without_conditions(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = tagged = Tagged()
    for n in (1, 2):
        tagged.tag, tagged.ids = str(n), [n]
        pipeline.run(rest_api_source(config(api, {**THEMES, "write_disposition": "append"})))

    pipeline.run(rest_api_source(config(api, THEMES)))

    assert rows(pipeline, "SELECT id FROM themes") == [(2,)]


def test_conditions_go_with_the_first_page_only_and_only_if_it_held_everything(api: Api, pipeline: dlt.Pipeline) -> None:
    def answer(asked: Asked) -> Reply:
        reply = paged(asked, POSTS[: len(api.asked) + 1])
        return Reply(reply.body, headers={**reply.headers, "ETag": f'"{len(api.asked)}"'})

    api.answer = answer
    source = rest_api_source(config(api, {"name": "posts", "endpoint": {"conditional": True}}))

    for _ in range(3):
        pipeline.run(source)

    sent = [(asked.params.get("page"), asked.headers.get("If-None-Match")) for asked in api.asked]
    assert sent == [(None, None), (None, '"1"'), ("2", None), (None, None), ("2", None), ("3", None)]


def test_pages_that_nothing_looks_at_are_read_typed(api: Api, pipeline: dlt.Pipeline) -> None:
    many = [{"id": n, "slug": "x"} for n in range(1, 9)]
    api.answer = lambda asked: paged(asked, many)
    source = rest_api_source(config(api, {"name": "posts", "endpoint": {"data_selector": "$"}}))

    pipeline.run(source)

    assert rows(pipeline, "SELECT id FROM posts ORDER BY id") == [(n,) for n in range(1, 9)]
    assert "page: records of another shape" not in pipeline.last_trace.last_normalize_info.refusals


def test_a_yaml_file_says_the_same_as_a_dictionary(
    api: Api, pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOG_URL", api.url)
    monkeypatch.setenv("BLOG_TOKEN", "s3cret-token")
    api.answer = lambda asked: (
        blog(asked) if asked.headers.get("Authorization") == "Bearer s3cret-token" else Reply(status=401)
    )
    Path("blog.yaml").write_text(
        """
client:
  base_url: {env: BLOG_URL}
  auth: {token: {secret: BLOG_TOKEN}}
  paginator: {type: header_link}
resource_defaults:
  primary_key: id
  write_disposition: merge
resources:
  - name: posts
    endpoint:
      incremental: {cursor_path: at, initial_value: 2024-01-03T00:00:00Z, start_param: since}
  - name: comments
    endpoint: posts/{resources.posts.id}/comments
    include_from_parent: [id]
"""
    )

    pipeline.run(rest_api_source("blog.yaml", name="blog"))

    assert rows(pipeline, "SELECT id FROM posts ORDER BY id") == [(3,), (4,), (5,)]
    assert rows(pipeline, "SELECT count(*) FROM comments") == [(12,)]
    assert api.asked[0].params == {"since": "2024-01-03T00:00:00Z"}


def test_a_marker_is_looked_up_where_it_stands(api: Api, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__REST_API__BLOG__CLIENT__AUTH__TOKEN", "s3cret-token")
    api.answer = blog

    source = rest_api_source(config(api, "posts", auth={"token": dlt.secrets.value}), name="blog")

    assert len(list(source.posts)) == 5
    assert api.asked[0].headers["Authorization"] == "Bearer s3cret-token"


def test_credentials_go_to_the_api_and_not_to_addresses_that_rows_name(api: Api, other_api: Api) -> None:
    api.answer = lambda asked: [{"id": 1, "avatar": f"{other_api.url}/avatar"}]
    other_api.answer = lambda asked: [{"size": 3}]
    avatars = {"name": "avatars", "endpoint": "{resources.posts.avatar}"}
    source = rest_api_source(config(api, "posts", avatars, auth={"token": "s3cret-token"}))

    assert [row["size"] for row in source.avatars] == [3]
    assert api.asked[0].headers["Authorization"] == "Bearer s3cret-token"
    assert "Authorization" not in other_api.asked[0].headers


def test_a_rate_limit_holds_for_all_resources_together(api: Api) -> None:
    """So many requests, 45 a second, take at least so long; no machine is too slow for that."""
    import time

    api.answer = blog
    source = rest_api_source(config(api, "posts", COMMENTS, rate_limit=45))

    started = time.monotonic()
    assert len(list(source.comments)) == 15
    assert time.monotonic() - started >= (len(api.asked) - 1) / 45


def test_schemes_and_functions_of_ones_own_may_be_named(api: Api, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("acme_blog.py").write_text(
        """
from dlt_orchestrate.sources.helpers.rest_client.paginators import BasePaginator
from dlt_orchestrate.sources.rest_api import register_paginator


class UntilShort(BasePaginator):
    def __init__(self, size: int, first: int = 1):
        super().__init__()
        self.size, self.page = size, first

    def update_state(self, response, data=None):
        self.page += 1
        self._has_next_page = len(data) == self.size

    def update_request(self, request):
        request.params = {**(request.params or {}), "page": self.page}


register_paginator("until_short", UntilShort)


def with_title(post):
    return {**post, "title": f"post {post['id']}"}
"""
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    import acme_blog  # registers its paginator

    api.answer = blog
    endpoint = {"paginator": {"type": "until_short", "size": 2}}
    steps = [{"map": f"{acme_blog.__name__}:with_title"}]

    source = rest_api_source(config(api, {"name": "posts", "endpoint": endpoint, "processing_steps": steps}))

    assert [post["title"] for post in source.posts] == [f"post {n}" for n in range(1, 6)]
    with pytest.raises(RestApiConfigError, match=r"paginator.size: should be a whole number, not 'two'"):
        rest_api_source(config(api, {"name": "posts", "endpoint": {"paginator": {"type": "until_short", "size": "two"}}}))
