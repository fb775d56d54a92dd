"""What `dg scaffold defs` writes: a file that loads at once, and a source to begin with. It asks nobody for anything."""

import re
from textwrap import dedent
from typing import Any, Literal

from dagster import Scaffolder, ScaffoldRequest
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field


class TargetScaffoldParams(BaseModel):
    """Options of the command that say where rows go."""

    destination: Literal["duckdb", "postgres"] = Field(default="duckdb", description="Where rows go.")
    dataset: str | None = Field(default=None, description="The dataset; the name of the folder with `_data` by default.")
    schedule: str | None = Field(default=None, description="Cron fields, such as '0 * * * *'.")


class IngestScaffoldParams(TargetScaffoldParams):
    """Options of the command."""

    source: str | None = Field(
        default=None, description="Import path of a source that is there, package.module:name; without it one is written."
    )


class RestApiScaffoldParams(TargetScaffoldParams):
    """Options of the command."""

    base_url: str = Field(default="https://api.example", description="What the paths of the API are below.")
    resources: str | None = Field(default=None, description="Names of resources, with commas between them.")
    token: str | None = Field(default=None, description="The name of the secret that holds a bearer token.")


def target_of(params: TargetScaffoldParams, name: str) -> dict[str, Any]:
    """The attributes that say where rows go.

    The dataset is not named as the file of DuckDB: there SQL could not tell `shop.orders` of the one from the other.
    """
    return {
        "pipeline": name,
        "destination": {"type": "duckdb", "path": f"data/{name}.duckdb"}
        if params.destination == "duckdb"
        else {"type": "postgres", "credentials": {"secret": "POSTGRES_URL"}},
        "dataset": params.dataset or f"{name}_data",
        "group": name,
        **({"schedule": params.schedule} if params.schedule else {}),
    }


class _LoadScaffolder(Scaffolder[IngestScaffoldParams]):
    @classmethod
    def get_scaffold_params(cls) -> type[IngestScaffoldParams]:
        return IngestScaffoldParams

    def load_of(self, request: ScaffoldRequest[IngestScaffoldParams]) -> dict[str, Any]:
        """The attributes of one load; writes its source, if there is none yet."""
        params, name = request.params, identifier(request.target_path.name)
        source = params.source
        if source is None:
            source = f".source:{name}"
            module = request.target_path / "source.py"
            if not module.exists():
                module.write_text(self.source_module(name), encoding="utf-8")
        return {"source": source, **target_of(params, name)}

    def source_module(self, name: str) -> str:
        """The text of a module with a source to begin with."""
        return dedent(
            f'''\
            """A source to begin with: each resource becomes a table, and an asset."""

            import dlt_orchestrate as dlt


            @dlt.source
            def {name}():
                @dlt.resource(primary_key="id", write_disposition="merge")
                def items(updated_at=dlt.sources.incremental("updated_at", initial_value="2000-01-01T00:00:00Z")):
                    """Items that changed since the last load."""
                    # From an API, for example, with paginate of dlt_orchestrate.sources.helpers.rest_client:
                    # yield from paginate("https://api.example/items", params={{"since": updated_at.last_value}})
                    yield [{{"id": 1, "name": "first", "updated_at": "2026-01-01T00:00:00Z"}}]

                return [items]
            '''
        )


class IngestScaffolder(_LoadScaffolder):
    """Writes `defs.yaml` with one load."""

    def scaffold(self, request: ScaffoldRequest[IngestScaffoldParams]) -> None:
        scaffold_component(request, self.load_of(request))


class CollectionScaffolder(_LoadScaffolder):
    """Writes `defs.yaml` with a list of one load."""

    def scaffold(self, request: ScaffoldRequest[IngestScaffoldParams]) -> None:
        scaffold_component(request, {"loads": [self.load_of(request)]})


class DiscoveredScaffolder(_LoadScaffolder):
    """Writes `defs.yaml` with a load and the function that discovers its resources."""

    def scaffold(self, request: ScaffoldRequest[IngestScaffoldParams]) -> None:
        scaffold_component(request, {"discover": ".source:discover", **self.load_of(request)})

    def source_module(self, name: str) -> str:
        return dedent(
            f'''\
            """A source whose resources are discovered: `dg utils refresh-defs-state` calls `discover`."""

            import dlt_orchestrate as dlt


            def discover():
                """Ask which tables there are; names, or mappings with a name and what the source needs to know."""
                return [{{"name": "items", "primary_key": "id"}}]


            @dlt.source
            def {name}(discovered):
                for table in discovered:
                    yield dlt.resource(
                        rows_of, name=table["name"], primary_key=table["primary_key"], write_disposition="merge"
                    )(table["name"])


            def rows_of(table):
                """Read one table."""
                yield [{{"id": 1, "name": f"the first of {{table}}"}}]
            '''
        )


class RestApiScaffolder(Scaffolder[RestApiScaffoldParams]):
    """Writes `defs.yaml` with a REST API to begin with."""

    @classmethod
    def get_scaffold_params(cls) -> type[RestApiScaffoldParams]:
        return RestApiScaffoldParams

    def scaffold(self, request: ScaffoldRequest[RestApiScaffoldParams]) -> None:
        params, name = request.params, identifier(request.target_path.name)
        client: dict[str, Any] = {"base_url": params.base_url}
        if params.token is not None:
            client["auth"] = {"type": "bearer", "token": {"secret": params.token}}
        scaffold_component(
            request,
            {
                "api": {
                    "client": client,
                    "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
                    "resources": [resource.strip() for resource in (params.resources or "items").split(",")],
                },
                **target_of(params, name),
            },
        )


class FilesScaffoldParams(TargetScaffoldParams):
    """Options of the command."""

    bucket_url: str = Field(default="data/inbox", description="A path in the project's folder, or an address of a bucket.")
    file_glob: str = Field(default="**/*.csv", description="Which files.")


class FilesScaffolder(Scaffolder[FilesScaffoldParams]):
    """Writes `defs.yaml` with the files of a folder."""

    @classmethod
    def get_scaffold_params(cls) -> type[FilesScaffoldParams]:
        return FilesScaffoldParams

    def scaffold(self, request: ScaffoldRequest[FilesScaffoldParams]) -> None:
        params, name = request.params, identifier(request.target_path.name)
        attributes = {
            "bucket_url": params.bucket_url,
            "tables": {name: {"file_glob": params.file_glob}},
            "sensors": [{"type": "files"}],
        }
        scaffold_component(request, {**attributes, **target_of(params, name)})


class SqlDatabaseScaffolder(Scaffolder[TargetScaffoldParams]):
    """Writes `defs.yaml` with a database whose address is a secret."""

    @classmethod
    def get_scaffold_params(cls) -> type[TargetScaffoldParams]:
        return TargetScaffoldParams

    def scaffold(self, request: ScaffoldRequest[TargetScaffoldParams]) -> None:
        name = identifier(request.target_path.name)
        address = {"credentials": {"secret": f"{name.upper().strip('_')}_URL"}, "table_names": ["*"]}
        # Without cursors all of a table is read each time: to append it would double its rows.
        chosen = {"write_disposition": "replace", "pipeline": name}
        scaffold_component(request, {**address, **chosen, **target_of(request.params, name)})


def identifier(text: str) -> str:
    """The text as a name of Python's.

    >>> identifier("my-shop 2")
    'my_shop_2'
    """
    name = re.sub(r"\W+", "_", text).strip("_").lower() or "ingest"
    return f"_{name}" if name[0].isdigit() else name
