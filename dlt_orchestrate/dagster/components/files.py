"""The component for the files of a folder or a bucket."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dagster import (
    AssetsDefinition,
    Component,
    ComponentLoadContext,
    DefaultSensorStatus,
    Definitions,
    DynamicPartitionsDefinition,
    SensorDefinition,
    scaffold_with,
)
from pydantic import Discriminator, Field, Tag

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.loads import build_assets
from dlt_orchestrate.dagster.components.scaffolding import FilesScaffolder, identifier
from dlt_orchestrate.dagster.components.settings import PartitionsSettings, Settings, TargetSettings
from dlt_orchestrate.dagster.components.sources import LateSource
from dlt_orchestrate.dagster.components.templates import rendered, scope_of
from dlt_orchestrate.dagster.file_sensor import build_file_sensor
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.errors import ComponentError, DeclarationError
from dlt_orchestrate.sources.filesystem import folder_source
from dlt_orchestrate.sources.filesystem.folder import expect_tables

_form = Discriminator(lambda value: "(fields)" if isinstance(value, Mapping) else "(flag)")


class WatchSettings(Settings):
    """A sensor that looks for new files."""

    interval_seconds: int = Field(default=30, ge=1, description="How often it looks.")
    max_files: int = Field(default=100, ge=1, description="The most files that one tick launches runs for.")
    is_running: bool = Field(default=False, description="Whether it runs without being switched on.")


class FilesSettings(TargetSettings):
    """The files of a folder or a bucket, and where they go."""

    bucket: str = Field(description="A path in the project's folder, or an address such as s3://bucket/prefix.")
    credentials: Any = Field(default=None, description="Of the store, by name; secrets as {secret: NAME}.")
    tables: dict[str, Any] = Field(
        description="By the name of the resource a pattern such as orders/*.csv, or glob, format, options of the reader, "
        "load_once, and hints such as primary_key."
    )
    load_once: Literal["version", "name"] | None = Field(
        default="version",
        description="version: again when it has changed; name: never again; null: in every run, as "
        "tables with replace, scd2 or cdc always do.",
    )
    min_age_seconds: float = Field(default=0, ge=0, description="Files that were written to later wait for the next run.")
    files_per_page: int = Field(default=100, ge=1)
    watch: Annotated[Annotated[bool, Tag("(flag)")] | Annotated[WatchSettings, Tag("(fields)")], _form] = Field(
        default=False, description="Whether a sensor launches runs when files have come."
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
        bucket = _placed(rendered(settings.bucket, scope, "bucket"), context.project_root)
        credentials = late(settings.credentials, "credentials", lambda text, at: rendered(text, scope, at))
        arguments = {
            "bucket_url": bucket,
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
        watch = WatchSettings() if settings.watch is True else settings.watch
        if not watch:
            return defs
        sensors = list(self._sensors(defs, watch, name, bucket, credentials))
        return Definitions.merge(defs, Definitions(sensors=sensors))

    def _sensors(
        self, defs: Definitions, watch: WatchSettings, name: str, bucket: str, credentials: Any
    ) -> Iterator[SensorDefinition]:
        """A sensor for the files of each table, which launches its asset."""
        partitions = self.settings.partitions
        is_by_file = isinstance(partitions, PartitionsSettings) and partitions.type == "dynamic"
        steps = {asset.op.name: asset for asset in defs.assets or () if isinstance(asset, AssetsDefinition)}
        owner = f"Source {name!r}"
        for table, told in self.settings.tables.items():
            # Resources may share a step; then whatever has files that are new loads them.
            step = steps.get(f"{op_name(name)}__{op_name(table)}")
            yield build_file_sensor(
                bucket,
                [step] if step is not None else list(steps.values()),
                name=f"{op_name(name)}__{op_name(table)}_files",
                pattern=told if isinstance(told, str) else told["glob"],
                credentials=lambda: filled(credentials, Resolver.from_environment(), owner=owner),
                min_age_seconds=self.settings.min_age_seconds,
                partitions_def=DynamicPartitionsDefinition(name=partitions.name)
                if is_by_file and isinstance(partitions, PartitionsSettings)
                else None,
                max_files=watch.max_files,
                minimum_interval_seconds=watch.interval_seconds,
                default_status=DefaultSensorStatus.RUNNING if watch.is_running else DefaultSensorStatus.STOPPED,
            )


def _placed(bucket: str, root: Path) -> str:
    """An address as it is; a path in the folder of the project."""
    return bucket if "://" in bucket else str(root / bucket)
