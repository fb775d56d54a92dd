"""`dlt-orchestrate rest-api`: the schema for editors, and the check of a file before it runs."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

BLOG = """
client: {base_url: {env: BLOG_URL}, auth: {token: {secret: BLOG_TOKEN}}, paginator: {type: offset, limit: 50}}
resources:
  - posts
  - name: comments
    write_disposition: merge
    primary_key: id
    selected: false
    endpoint:
      path: posts/{resources.posts.id}/comments
      params: {state: {env: BLOG_STATE}}
      incremental: {cursor_path: updated_at, start_param: since}
  - {name: likes, endpoint: "comments/{resources.comments.id}/likes"}
"""


def test_a_file_is_checked_without_secrets_and_network(tool, project: Path) -> None:
    Path("blog.yaml").write_text(BLOG)

    done = tool("rest-api", "check", "blog.yaml")

    assert done.exit_code == 0, done.output
    assert done.output == (
        "posts: append into posts\n"
        "comments: merge into comments, for each row of posts, new by updated_at, read for its children only\n"
        "likes: append into likes, for each row of comments\n"
    )


def test_what_is_wrong_in_a_file_is_told_at_once(tool, project: Path) -> None:
    Path("blog.yaml").write_text(BLOG.replace("type: offset", "type: ofset").replace("resources.posts", "resources.post"))
    Path("bad.yaml").write_text("client:\n  auth: {type: bearer, token: s3cret-1: x}")

    done, unread, missing = (tool("rest-api", "check", name) for name in ("blog.yaml", "bad.yaml", "blgo.yaml"))

    assert (done.exit_code, unread.exit_code, missing.exit_code) == (1, 1, 1)
    assert done.output == (
        "Error: Source 'blog': its configuration has 2 problems.\n"
        "  client.paginator.type: there is no paginator 'ofset'. Did you mean 'offset'?\n"
        "  resources[1].endpoint.path: there is no resource 'post'. Did you mean 'posts'?\n"
    )
    assert unread.output == (
        "Error: File 'bad.yaml': its configuration is no YAML: expected ',' or '}', but got ':', in line 2, column 39.\n"
    )
    assert missing.output == (
        "Error: File 'blgo.yaml': its configuration cannot be read: No such file or directory. Did you mean 'blog.yaml'?\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("base_url", "base_urll", "$.client"),
        ("limit: 50", "limit: many", "$.client.paginator"),
        ("primary_key: id", "primary_key: 3", "$.resources[1]"),
        ("start_param", "start_parm", "$.resources[1]"),
    ],
)
def test_the_schema_for_editors_takes_what_is_right_and_nothing_else(
    tool, project: Path, old: str, new: str, place: str
) -> None:
    assert tool("rest-api", "schema", "--output", "rest_api.schema.json").exit_code == 0
    schema = json.loads(Path("rest_api.schema.json").read_text())
    judge = jsonschema.Draft202012Validator(schema)

    assert list(judge.iter_errors(yaml.safe_load(BLOG))) == []
    assert [error.json_path for error in judge.iter_errors(yaml.safe_load(BLOG.replace(old, new)))][:1] == [place]
    assert json.loads(tool("rest-api", "schema").output) == schema
