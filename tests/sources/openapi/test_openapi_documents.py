"""Documents as they come: over the network, in several files, in older formats, broken; and the command that takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from loopback import Api, Reply
from openapi_parts import TEASHOP, get, listed

from dlt_orchestrate.cli.app import app
from dlt_orchestrate.errors import OpenApiDocumentError
from dlt_orchestrate.sources.openapi import draft_from, read_document

ITEMS = {"/items": get({"type": "array", "items": {"$ref": "schemas/item.yaml#/Item"}})}
ROOT = {"openapi": "3.0.0", "info": {"title": "Shop"}, "servers": [{"url": "v1"}], "paths": ITEMS}
ITEM = (
    "Item: {allOf: [{$ref: '#/Named'}, {properties: {id: {type: integer}}}]}\nNamed: {properties: {name: {type: string}}}\n"
)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["openapi", *arguments])


def test_references_lead_into_other_files(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "item.yaml").write_text(ITEM)
    (tmp_path / "api.json").write_text(json.dumps(ROOT))

    (resource,) = draft_from(read_document(str(tmp_path / "api.json"))).config["resources"]

    assert (resource["primary_key"], resource["endpoint"]) == ("id", {"path": "items", "data_selector": "$"})


def test_references_that_lead_nowhere_are_marked_where_they_matter(tmp_path: Path) -> None:
    paths = {
        "/teas": get({"type": "array", "items": {"$ref": "#/components/schemas/Tea"}}),
        "/shops": get({"type": "array", "items": {"properties": {"id": {"type": "integer"}}}}),
        "/cups": get({"$ref": "#/components/schemas/Cups"}),
        "/pots": {"$ref": "#/components/pathItems/pots"},
    }
    (tmp_path / "api.json").write_text(json.dumps({**ROOT, "paths": paths}))

    text = draft_from(read_document(str(tmp_path / "api.json"))).to_yaml()

    teas, shops = text.split("  # GET ")[1:3]
    assert "CHECK what is missing here: the document refers to #/components/schemas/Tea, which is not in it\n" in teas
    assert "CHECK" not in shops
    assert "GET /cups: its answer holds no records, as far as the document tells; the document refers to #/comp" in text
    assert "#   /pots: the document refers to #/components/pathItems/pots, which is not in it\n" in text


def test_a_document_is_read_from_its_address_and_says_where_the_api_is(api: Api) -> None:
    files = {"/docs/api.json": json.dumps(ROOT), "/docs/schemas/item.yaml": ITEM}
    api.answer = lambda asked: Reply(files[asked.path].encode())

    config = draft_from(read_document(f"{api.url}/docs/api.json")).config

    assert (config["client"]["base_url"], config["resources"][0]["primary_key"]) == (f"{api.url}/docs/v1", "id")


def test_a_document_that_is_not_there_is_told_in_one_sentence_after_the_other(api: Api) -> None:
    with pytest.raises(OpenApiDocumentError) as caught:
        read_document(f"{api.url}/api.json")

    assert "404" in str(caught.value)
    assert ".." not in str(caught.value)


def test_references_to_other_origins_are_not_followed(api: Api) -> None:
    elsewhere = {"/items": get({"$ref": "http://169.254.169.254/latest#/x"})}
    api.answer = lambda _: {**ROOT, "paths": elsewhere}

    with pytest.raises(OpenApiDocumentError, match=r"refers to another origin, http://169\.254\.169\.254/latest"):
        draft_from(read_document(f"{api.url}/api.json"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"swagger": "2.0", "paths": {}}', "it is written in Swagger 2.0, .* Convert it first"),
        ("openapi: 3.0.0\npaths: {}", "it holds no paths"),
        ("openapi: 4.0.0\npaths: {/a: {}}", "it names version '4.0.0'. Name an OpenAPI document of version 3.0 or 3.1"),
        ("info: {}", "it has no key 'openapi'"),
        ("- a\n- b", "it holds no mapping"),
        ("a: [b\nc: d", "it is neither JSON nor YAML in line 2"),
        ('{"openapi": ', "it is neither JSON nor YAML"),
        ("openapi: 3.0.0\npaths: {/a: {post: {}}}", "no request in it becomes a resource. It describes no GET request"),
        ("openapi: 3.0.0\npaths: {/a: {get: {}}}", "GET /a: the document does not say what it answers"),
        ("openapi: 3.0.0\npaths: {/a: {$ref: '#/paths/~1a'}}", "no request in it becomes a resource"),
    ],
)
def test_what_is_no_openapi_3_says_what_it_is(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(text)

    with pytest.raises(OpenApiDocumentError, match=told):
        draft_from(read_document(str(path)))


def test_a_document_that_is_not_there_says_so(api: Api, tmp_path: Path) -> None:
    missing, refused = run(str(tmp_path / "none.yaml")), run(f"{api.url}/none.json?token=marked-token-in-address")

    assert (missing.exit_code, refused.exit_code) == (1, 1)
    assert "it cannot be read: No such file or directory. Check the path." in missing.output
    assert "404 Not Found" in refused.output
    assert "marked" not in refused.output


def test_the_command_writes_yaml_that_explains_itself_and_json_that_says_the_same(tmp_path: Path) -> None:
    written = run(str(TEASHOP), "--search", "--value", "shop=berlin", "-o", str(tmp_path / "tea.yaml"))
    printed = run(str(TEASHOP), "--search", "--value", "shop=berlin", "--format", "json")

    text = (tmp_path / "tea.yaml").read_text()
    assert (written.exit_code, written.stdout) == (0, "")
    assert written.stderr == "7 resources drafted, 4 guesses to check; 3 requests left out.\n"
    assert yaml.safe_load(text) == json.loads(printed.stdout)
    assert [line.strip() for line in text.splitlines() if "CHECK" in line] == [
        "# Lines with CHECK are guesses. Secrets are named here, and stand in secrets.toml or the environment.",
        "# CHECK which server is meant; others are https://sandbox.tea.example/v1",
        "# CHECK the value of 'status', which the API requires",
        "# CHECK that 'sku' tells one record from another",
        "# CHECK what the body of the request has to say",
    ]
    assert "      # incremental:\n      #   cursor_path: updated_at\n      #   start_param: updated_since\n" in text
    assert "#   GET /logo: its answer is no JSON\n" in text


def test_what_needs_a_value_stands_in_comments(tmp_path: Path) -> None:
    told = run(str(TEASHOP))

    assert "#   - name: stock\n" in told.stdout
    assert "#       path: shops/<shop>/stock\n" in told.stdout
    assert [one["name"] for one in yaml.safe_load(told.stdout)["resources"]] == [
        "teas",
        "reviews",
        "votes",
        "orders",
        "status",
    ]
    assert "1 need values of shop (--value NAME=VALUE)" in told.stderr


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text("mine")

    refused = run(str(TEASHOP), "-o", str(path))
    assert (refused.exit_code, path.read_text()) == (1, "mine")
    assert "is there already; pass --force" in refused.output

    assert run(str(TEASHOP), "-o", str(path), "--force", "--only", "teas").exit_code == 0
    assert [one["name"] for one in yaml.safe_load(path.read_text())["resources"]] == ["teas"]


def test_a_value_without_a_name_is_refused() -> None:
    refused = run(str(TEASHOP), "--value", "berlin")

    assert refused.exit_code == 2
    assert "'berlin' is not NAME=VALUE" in refused.output


def test_texts_in_a_document_break_no_yaml(tmp_path: Path) -> None:
    paths = {"/items": get(listed(), summary="first: line\n# second\nresources: []")}
    root = {"openapi": "3.0.0", "info": {"title": "A: b\nclient: x", "version": "'1'"}, "paths": paths}
    (tmp_path / "api.json").write_text(json.dumps(root))

    draft = draft_from(read_document(str(tmp_path / "api.json")))

    assert yaml.safe_load(draft.to_yaml()) == draft.config


def test_a_pattern_that_fits_nothing_is_answered_with_what_there_is() -> None:
    with pytest.raises(OpenApiDocumentError, match=r"that fits 'teaz'. Did you mean 'teas'\?"):
        draft_from(read_document(str(TEASHOP)), only=["teaz"])
