"""Children of rows are loaded whole, and what their parent could not read is told, whatever the run is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import Api, Asked, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.sources.rest_api import rest_api_source


def pages(asked: Asked) -> Reply:
    """Five posts in pages of two, and two comments of each."""
    match asked.path.strip("/").split("/"):
        case ["posts"]:
            page = int(asked.params.get("page", 1))
            body = [{"id": number} for number in range(1, 6)][2 * page - 2 : 2 * page]
            link = {"Link": f'</posts?page={page + 1}>; rel="next"'} if page < 3 else {}
        case ["posts", post, "comments"]:
            body, link = [{"id": 10 * int(post) + number} for number in range(2)], {}
        case _:
            return Reply(status=404)
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json", **link})


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("blog", destination="duckdb", dataset_name="blog")


def config(api: Api, *resources: Any) -> dict[str, Any]:
    return {"client": {"base_url": api.url, "paginator": "header_link"}, "resources": list(resources)}


COMMENTS = {"name": "comments", "endpoint": "posts/{resources.posts.id}/comments"}
BY_ID = {"cursor_path": "id", "initial_value": 0, "row_order": "asc"}


@pytest.mark.parametrize("incremental", [None, BY_ID])
def test_children_are_committed_at_their_end_and_say_so_where_checkpoints_are_asked_for(
    api: Api, pipeline: dlt.Pipeline, incremental: Any, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer = pages
    endpoint = {"path": "posts", "incremental": incremental} if incremental else "posts"

    info = pipeline.run(rest_api_source(config(api, {"name": "posts", "endpoint": endpoint}, COMMENTS)), checkpoint=1)

    dataset = pipeline.dataset()
    assert sorted(row[0] for row in dataset.comments.select("id").fetchall()) == [
        10 * post + number for post in range(1, 6) for number in range(2)
    ]
    assert dataset.posts.count() == 5
    assert len(info.resources["posts"].load_ids) > 1
    assert len(info.resources["comments"].load_ids) == 1
    (warning,) = [text for text in caplog.messages if "'comments'" in text and "at its end only" in text]
    assert "whole" in warning


def test_the_cursor_of_a_parent_stays_where_a_limit_cuts_children_that_are_fetched_ahead(
    api: Api, pipeline: dlt.Pipeline
) -> None:
    api.answer = pages

    def source() -> Any:
        return rest_api_source(
            config(api, {"name": "posts", "endpoint": {"path": "posts", "incremental": BY_ID}}, COMMENTS)
        )

    limited = source().with_resources("comments")
    limited.comments.add_limit(1)
    pipeline.run(limited, write_disposition="append")
    pipeline.run(source().with_resources("comments"), write_disposition="append")

    found = {row[0] for row in pipeline.dataset().comments.select("id").fetchall()}
    assert found == {10 * post + number for post in range(1, 6) for number in range(2)}


def test_a_row_that_the_parent_rejects_is_kept_by_what_is_made_of_its_rows(api: Api, pipeline: dlt.Pipeline) -> None:
    api.answer = pages

    @dlt.resource(selected=False)
    def posts() -> Any:
        yield [{"id": 1}]
        yield dlt.mark.reject({"line": 2}, "it is no post", "id")
        yield [{"id": 3}]

    info = pipeline.run(rest_api_source(config(api, posts, COMMENTS)))

    assert sorted(row[0] for row in pipeline.dataset().comments.select("id").fetchall()) == [10, 11, 30, 31]
    assert pipeline.dataset()('SELECT resource_name, table_name, "row", cause FROM _dlt_rejects').fetchall() == [
        ("comments", "comments", '{"line": 2}', "it is no post")
    ]
    assert info.resources["comments"].rows_rejected == 1


@pytest.mark.parametrize("children_first", [False, True])
def test_a_parent_that_goes_on_shares_no_part_of_its_pages_with_its_children(
    api: Api, pipeline: dlt.Pipeline, children_first: bool
) -> None:
    is_broken = True

    def answer(asked: Asked) -> Reply:
        return Reply(status=400) if is_broken and asked.params.get("page") == "3" else pages(asked)

    api.answer = answer
    posts = {"name": "posts", "endpoint": "posts", "write_disposition": "append"}
    source = rest_api_source(config(api, *([COMMENTS, posts] if children_first else [posts, COMMENTS])))

    with pytest.raises(PipelineStepFailed, match="400"):
        pipeline.run(source, checkpoint=1)
    is_broken = False
    pipeline.run(source, checkpoint=1)

    assert sorted(row[0] for row in pipeline.dataset().posts.select("id").fetchall()) == [1, 2, 3, 4, 5]
    assert sorted(row[0] for row in pipeline.dataset().comments.select("id").fetchall()) == [
        10 * post + number for post in range(1, 6) for number in range(2)
    ]
