"""Where columns come from: fields of the system that is read, and columns of the assets above."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import build_ingest_asset_specs, build_source_spec, ingest_assets
from dlt_orchestrate.sources.filesystem import folder_source
from dlt_orchestrate.sources.rest_api import rest_api_source
from dlt_orchestrate.sources.sql_database import sql_database

SYSTEM = dg.AssetKey(["source", "forge"])
REPOS, STARS, TOPICS = (dg.AssetKey(f"dlt_forge_{name}") for name in ("repos", "stars", "repos__topics"))


@dlt.source(name="forge")
def forge() -> Any:
    """A forge, by its API."""

    @dlt.resource(primary_key="id", write_disposition="merge")
    def repos() -> Iterator[Any]:
        yield [{"id": 1, "fullName": "acme/tea", "owner": {"login": "acme"}, "topics": [{"topicName": "tea"}]}]

    @dlt.transformer(data_from=repos)
    def stars(repos: list[dict[str, Any]]) -> Iterator[Any]:
        for repo in repos:
            yield {"userName": "mina", "_repos_id": repo["id"]}

    return [repos, stars]


@pytest.fixture
def told(project, warehouse, instance) -> dict[dg.AssetKey, dict[str, Any]]:
    """The metadata of a materialization of each asset."""
    assets = ingest_assets(forge, warehouse, upstream=build_source_spec(forge), nested={"repos": ["topics"]})
    result = dg.materialize(assets, instance=instance)
    return {
        event.asset_key: {name: entry.value for name, entry in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def lineage(metadata: dict[str, Any]) -> dict[str, list[tuple[dg.AssetKey, str]]]:
    found = metadata["dagster/column_lineage"].deps_by_column
    return {name: [(dep.asset_key, dep.column_name) for dep in deps] for name, deps in found.items()}


def test_a_column_comes_from_the_field_that_it_was_named_after(told) -> None:
    assert lineage(told[REPOS]) == {
        "id": [(SYSTEM, "repos.id")],
        "full_name": [(SYSTEM, "repos.fullName")],
        "owner__login": [(SYSTEM, "repos.owner.login")],
    }


def test_a_column_that_a_transformer_took_from_its_parent_comes_from_there(told) -> None:
    assert lineage(told[STARS]) == {
        "user_name": [(SYSTEM, "stars.userName")],
        "_repos_id": [(REPOS, "id")],
    }


def test_a_nested_table_hangs_on_the_ids_of_the_tables_above_and_on_the_lists_of_the_records(told) -> None:
    assert lineage(told[TOPICS]) == {
        "topic_name": [(SYSTEM, "repos.topics[].topicName")],
        "_dlt_parent_id": [(REPOS, "_dlt_id")],
        "_dlt_root_id": [(REPOS, "_dlt_id")],
    }


def test_the_catalog_tells_the_field_of_a_column_with_another_name(told) -> None:
    columns = {column.name: column.tags for column in told[REPOS]["dagster/column_schema"].columns}

    assert columns["full_name"] == {"source_field": "fullName"}
    assert columns["owner__login"] == {"source_field": "owner.login"}
    assert "source_field" not in columns["id"]
    assert "source_field" not in columns["_dlt_load_id"]


def test_without_a_system_there_is_no_placeholder_for_one(project, warehouse, instance) -> None:
    assets = ingest_assets(forge, warehouse)

    result = dg.materialize(assets, instance=instance)

    [repos, stars] = (event.materialization for event in result.get_asset_materialization_events())
    assert "dagster/column_lineage" not in repos.metadata
    assert lineage({name: entry.value for name, entry in stars.metadata.items()}) == {"_repos_id": [(REPOS, "id")]}
    assert [list(spec.deps) for spec in assets[0].specs] == [[]]


def test_the_system_is_an_asset_with_a_description_that_nothing_materializes(project, warehouse) -> None:
    system = build_source_spec(forge, owners=["team:data"], url="https://forge.example/docs")
    defs = dg.Definitions(assets=[system, *ingest_assets(forge, warehouse, upstream=system)])

    node = defs.resolve_asset_graph().get(SYSTEM)

    assert (node.is_external, node.description, node.owners) == (True, "A forge, by its API.", ["team:data"])
    assert (node.metadata["dagster/uri"], node.kinds) == (dg.MetadataValue.url("https://forge.example/docs"), {"api"})
    assert node.child_keys == {REPOS}


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (rest_api_source({"client": {"base_url": "https://forge.example"}, "resources": ["repos"]}), "api"),
        (sql_database("sqlite:///forge.sqlite", table_names=["repos"]), "database"),
        (folder_source("forge", tables={"repos": "*.csv"}), "file"),
    ],
)
def test_the_system_of_a_ready_made_source_is_told_by_its_kind_and_not_by_the_docstring_of_ours(
    source: dlt.Source, kind: str
) -> None:
    system = build_source_spec(source)

    assert (system.description, system.kinds) == (None, {kind})
    assert build_source_spec(source, description="The forge.", kinds={"sap"}).kinds == {"sap"}


def test_specs_alone_name_the_system_too(project, warehouse) -> None:
    [repos, stars] = build_ingest_asset_specs(forge, warehouse, upstream=SYSTEM)

    assert [dep.asset_key for dep in repos.deps] == [SYSTEM]
    assert [dep.asset_key for dep in stars.deps] == [REPOS]
