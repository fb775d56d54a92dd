"""The front door: what it offers, and that opening it costs little."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files

import dlt_orchestrate as dlt

HEAVY = {"dagster", "duckdb", "numpy", "orjson", "pandas", "polars", "pyarrow", "pydantic", "requests"}

PUBLIC = {
    "Incremental",
    "LoadInfo",
    "Pipeline",
    "Resource",
    "Schema",
    "Source",
    "__version__",
    "attach",
    "config",
    "current",
    "defer",
    "destinations",
    "mark",
    "pipeline",
    "resource",
    "run",
    "secrets",
    "source",
    "sources",
    "transformer",
}


def loaded_after(script: str) -> set[str]:
    """The heavy packages that a fresh process has imported after a script."""
    asked = f"{script}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)} & HEAVY


def test_the_public_names_are_these() -> None:
    assert set(dlt.__all__) == PUBLIC
    assert dir(dlt) == sorted(PUBLIC)
    assert all(getattr(dlt, name) is not None for name in PUBLIC)


def test_sources_that_were_written_for_dlt_find_the_types_of_their_annotations() -> None:
    from dlt_orchestrate.sources import DltResource, DltSource, TDataItem, TDataItems

    @dlt.resource
    def teas() -> Iterator[TDataItems]:
        yield [{"name": "oolong"}]

    @dlt.transformer(data_from=teas)
    def cups(page: list[TDataItem]) -> Iterator[TDataItem]:
        yield from page

    @dlt.source
    def shop() -> tuple[DltResource, ...]:
        return teas, cups

    made: DltSource = shop()

    assert isinstance(made, DltSource)
    assert [isinstance(one, DltResource) for one in made.resources.values()] == [True, True]
    assert list(made) == [{"name": "oolong"}] * 2


def test_configurations_that_were_written_for_dlt_find_the_types_of_their_annotations() -> None:
    from dlt_orchestrate.sources.rest_api import rest_api_source
    from dlt_orchestrate.sources.rest_api.typing import ClientConfig, EndpointResource, RESTAPIConfig

    client: ClientConfig = {"base_url": "https://api.example"}  # type: ignore[assignment]
    posts: EndpointResource = {"name": "posts", "endpoint": {"path": "posts"}}  # type: ignore[assignment]
    config: RESTAPIConfig = {"client": client, "resources": [posts]}  # type: ignore[assignment]

    assert list(rest_api_source(config).resources) == ["posts"]


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert files("dlt_orchestrate").joinpath("py.typed").is_file()


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dlt, "no_such_name")


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_after("import dlt_orchestrate") == set()


def test_declaring_a_pipeline_and_a_source_imports_nothing_heavy() -> None:
    script = """
import dlt_orchestrate as dlt
pipeline = dlt.pipeline("quick_start", destination="duckdb", dataset_name="mydata")
@dlt.resource(primary_key="id", write_disposition="merge")
def issues(updated_at=dlt.sources.incremental("updated_at", initial_value=0), token=dlt.secrets.value):
    yield []
@dlt.source
def github(token: str = dlt.secrets.value):
    return issues
github()
"""
    assert loaded_after(script) == set()


def test_a_run_imports_what_it_needs_and_no_more(project) -> None:
    script = """
import dlt_orchestrate as dlt
dlt.pipeline("p", destination=dlt.destinations.duckdb("p.duckdb")).run([{"id": 1, "tags": ["a"]}], table_name="t")
"""
    assert loaded_after(script).isdisjoint({"dagster", "polars", "pydantic", "requests"})
