"""The component for the files of a folder or a bucket."""

from collections.abc import Iterator
from typing import Any, Literal, Self

from dagster import (
    AssetsDefinition,
    Component,
    ComponentLoadContext,
    Definitions,
    DynamicPartitionsDefinition,
    SensorDefinition,
    scaffold_with,
)
from pydantic import Field

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.loads import build_assets
from dlt_orchestrate.dagster.components.scaffolding import FilesScaffolder, identifier
from dlt_orchestrate.dagster.components.sensors import expect_distinct, of_every_sensor, placed, resources_of
from dlt_orchestrate.dagster.components.settings import PartitionsSettings, SensorSettings, TargetSettings
from dlt_orchestrate.dagster.components.sources import LateSource
from dlt_orchestrate.dagster.components.templates import rendered, scope_of
from dlt_orchestrate.dagster.file_sensor import build_file_sensor
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.errors import ComponentError, DeclarationError
from dlt_orchestrate.sources.filesystem import folder_source
from dlt_orchestrate.sources.filesystem.folder import expect_tables


class FilesSensorSettings(SensorSettings):
    """A sensor; one of type `files` without `bucket_url` looks for new files of the tables."""

    own_type = "files"


class FilesSettings(TargetSettings):
    """The files of a folder or a bucket, and where they go."""

    bucket_url: str = Field(description="A path in the project's folder, or an address such as s3://bucket/prefix.")
    credentials: Any = Field(default=None, description="Of the store, by name; secrets as {secret: NAME}.")
    tables: dict[str, Any] = Field(
        description="By the name of the resource a pattern such as orders/*.csv, or file_glob, format, options of the "
        "reader, load_once, and hints such as primary_key."
    )
    load_once: Literal["version", "name"] | None = Field(
        default="version",
        description="version: again when it has changed; name: never again; null: in every run, as "
        "tables with replace, scd2 or cdc always do.",
    )
    min_age_seconds: float = Field(default=0, ge=0, description="Files that were written to later wait for the next run.")
    files_per_page: int = Field(default=100, ge=1)
    sensors: list[FilesSensorSettings] = Field(  # type: ignore[assignment]  # of a narrower kind, and never assigned to
        default_factory=list, description="{type: files} launches runs when files of the tables have come."
    )


@scaffold_with(FilesScaffolder)
class FilesystemComponent(Component):
    """Ingests files of a folder or a bucket: each pattern is an asset, each version of a file is loaded once."""

    def __init__(self, settings: FilesSettings, loaded_in: ComponentLoadContext | None = None) -> None:
        self.settings = settings
        self._loaded_in = loaded_in  # knows the template variables of the file, which the context of building does not

    @classmethod
    def get_model_cls(cls) -> type[FilesSettings]:
        return FilesSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:
        return cls(attributes, context)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        context = self._loaded_in or context
        settings, scope = self.settings, scope_of(context)
        try:
            expect_tables(settings.tables)
        except DeclarationError as error:
            raise ComponentError(place="tables", problem=str(error)) from None
        bucket_url = placed(rendered(settings.bucket_url, scope, "bucket_url"), context.project_root)
        credentials = late(settings.credentials, "credentials", lambda text, at: rendered(text, scope, at))
        arguments = {
            "bucket_url": bucket_url,
            "tables": settings.tables,
            "load_once": settings.load_once,
            "min_age_seconds": settings.min_age_seconds,
            "files_per_page": settings.files_per_page,
        }
        if isinstance(settings.partitions, PartitionsSettings) and settings.partitions.type == "dynamic":
            arguments["partition_is_file"] = True
        folder = context.path if context.path.is_dir() else context.path.parent
        name = settings.name or identifier(folder.name)
        if credentials is not None:
            arguments["credentials"] = credentials
        source = LateSource.of(folder_source.with_args(name=name)(**arguments))
        defs = build_assets(settings, source, context)
        sensors = list(self._sensors(defs, name, bucket_url, credentials))
        expect_distinct(sensors)
        return Definitions.merge(defs, Definitions(sensors=[sensor for _, sensor in sensors])) if sensors else defs

    def _sensors(
        self, defs: Definitions, name: str, bucket_url: str, credentials: Any
    ) -> Iterator[tuple[str, SensorDefinition]]:
        """A sensor for the files of each table, which launches its asset, with its place in the file."""
        partitions = self.settings.partitions
        is_by_file = isinstance(partitions, PartitionsSettings) and partitions.type == "dynamic"
        steps = {asset.op.name: asset for asset in defs.assets or () if isinstance(asset, AssetsDefinition)}
        owner, tables = f"Source {name!r}", self.settings.tables
        for at, sensor in enumerate(self.settings.sensors):
            if not sensor.looks_at_own:
                continue
            for table in resources_of(sensor, tables, f"sensors.{at}"):
                told = tables[table]
                # Resources may share a step; then whatever has files that are new loads them.
                step = steps.get(f"{op_name(name)}__{op_name(table)}")
                yield (
                    f"sensors.{at}",
                    build_file_sensor(
                        bucket_url,
                        [step] if step is not None else list(steps.values()),
                        name=op_name(f"{sensor.name or name}__{table}_files"),
                        file_glob=told if isinstance(told, str) else told["file_glob"],
                        credentials=lambda: filled(credentials, Resolver.from_environment(), owner=owner),
                        min_age_seconds=sensor.min_age_seconds
                        if "min_age_seconds" in sensor.model_fields_set
                        else max(sensor.min_age_seconds, self.settings.min_age_seconds),
                        partitions_def=DynamicPartitionsDefinition(name=partitions.name)
                        if is_by_file and isinstance(partitions, PartitionsSettings)
                        else None,
                        max_files=sensor.max_files,
                        **of_every_sensor(sensor),
                    ),
                )
