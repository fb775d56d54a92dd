"""The component for the files of a folder or a bucket."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from dagster import (
    Component,
    ComponentLoadContext,
    Definitions,
    DynamicPartitionsDefinition,
    ResolutionContext,
    SensorDefinition,
    scaffold_with,
)

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.files_settings import FilesSettings
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.loads import build_assets
from dlt_orchestrate.dagster.components.partitions import partitions_of
from dlt_orchestrate.dagster.components.scaffolding import FilesScaffolder, identifier
from dlt_orchestrate.dagster.components.sensors import (
    expect_distinct,
    of_every_sensor,
    placed,
    resources_of,
    specs_by_resource,
)
from dlt_orchestrate.dagster.components.settings import PartitionsSettings, ResourceSettings
from dlt_orchestrate.dagster.components.sources import LateSource
from dlt_orchestrate.dagster.components.templates import rendered, scope_of
from dlt_orchestrate.dagster.file_sensor import build_file_sensor
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.errors import ComponentError, DeclarationError
from dlt_orchestrate.sources.filesystem import folder_source
from dlt_orchestrate.sources.filesystem.folder import expect_tables

Tables = Mapping[str, Mapping[str, Any]]
"""What is told of each table, by its name."""


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
        tables: Tables = rendered(settings.told_of_tables(), scope, "tables")
        try:
            expect_tables(tables)
        except DeclarationError as error:
            raise ComponentError(place="tables", problem=str(error)) from None
        by_file = _partitions_by_file(settings, tables, scope)
        if settings.schedule is not None and len({by_file.get(table) for table in _selected(settings, tables)}) > 1:
            raise ComponentError(
                place="schedule",
                problem="its tables have partitions of different sets, and a run is about one. Leave files that are "
                "partitions to a sensor, which loads each as it comes: sensors: [{type: files}]",
            )
        bucket_url = placed(rendered(settings.bucket_url, scope, "bucket_url"), context.project_root)
        credentials = late(settings.credentials, "credentials", lambda text, at: rendered(text, scope, at))
        arguments = {
            "bucket_url": bucket_url,
            "tables": {name: {**table, "partition_is_file": name in by_file} for name, table in tables.items()},
            "load_once": settings.load_once,
            "min_age_seconds": settings.min_age_seconds,
            "files_per_page": settings.files_per_page,
        }
        folder = context.path if context.path.is_dir() else context.path.parent
        name = settings.name or identifier(folder.name)
        if credentials is not None:
            arguments["credentials"] = credentials
        source = LateSource.of(folder_source.with_args(name=name)(**arguments))
        defs = build_assets(_partitioned(settings, by_file), source, context)
        sensors = list(self._sensors(defs, name, bucket_url, credentials, tables, by_file))
        expect_distinct(sensors)
        return Definitions.merge(defs, Definitions(sensors=[sensor for _, sensor in sensors])) if sensors else defs

    def _sensors(
        self,
        defs: Definitions,
        name: str,
        bucket_url: str,
        credentials: Any,
        tables: Tables,
        by_file: Mapping[str, DynamicPartitionsDefinition],
    ) -> Iterator[tuple[str, SensorDefinition]]:
        """A sensor for the files of each table, with its place in the file; it launches the table's asset and those of its
        nested tables.
        """
        specs, owner = specs_by_resource(defs.assets or ()), f"Source {name!r}"
        for at, sensor in enumerate(self.settings.sensors):
            if not sensor.looks_at_own:
                continue
            for table in resources_of(sensor, specs, f"sensors.{at}"):
                yield (
                    f"sensors.{at}",
                    build_file_sensor(
                        bucket_url,
                        [spec.key for spec in specs[table]],
                        name=op_name(f"{sensor.name or name}__{table}_files"),
                        file_glob=tables[table]["file_glob"],
                        credentials=lambda: filled(credentials, Resolver.from_environment(), owner=owner),
                        min_age_seconds=sensor.min_age_seconds
                        if "min_age_seconds" in sensor.model_fields_set
                        else max(sensor.min_age_seconds, self.settings.min_age_seconds),
                        partitions_def=by_file.get(table),
                        max_files=sensor.max_files,
                        **of_every_sensor(sensor),
                    ),
                )


def _selected(settings: FilesSettings, tables: Tables) -> list[str]:
    return list(tables) if settings.select is None else [one for one in settings.select if one in tables]


def _partitions_by_file(
    settings: FilesSettings, tables: Tables, scope: ResolutionContext
) -> dict[str, DynamicPartitionsDefinition]:
    """The partitions of the tables that have one for each file.

    A set of keys for all tables would hold keys that are no files of most of them: each has one of its own.

    Raises:
        ComponentError: There are partitions of another kind, or tables share a set and have different files.
    """
    found: dict[str, DynamicPartitionsDefinition] = {}
    first: dict[str, str] = {}
    for table in _selected(settings, tables):
        own = settings.resources.get(table, ResourceSettings()).partitions
        place = "partitions" if own is None else f"resources.{table}.partitions"
        told = partitions_of(settings.partitions if own is None else own, scope, place)
        if told is None:
            continue
        if not isinstance(told, DynamicPartitionsDefinition) or told.name is None:
            raise ComponentError(
                place=place,
                problem="a file belongs to no window of time, and to no key but its path. Partitions of files are a file "
                "each: give {type: dynamic, name: inbox_files}, or leave them out",
            )
        found[table] = told if own is not None else DynamicPartitionsDefinition(name=f"{told.name}__{table}")
        other = first.setdefault(str(found[table].name), table)
        if tables[other]["file_glob"] != tables[table]["file_glob"]:
            raise ComponentError(
                place=place,
                problem=f"{found[table].name!r} holds the files {tables[other]['file_glob']!r} of table {other!r}, and "
                f"those of {table!r} are {tables[table]['file_glob']!r}. Give each a name of its own",
            )
    return found


def _partitioned(settings: FilesSettings, by_file: Mapping[str, DynamicPartitionsDefinition]) -> FilesSettings:
    """The settings with the partitions said of each table for itself."""
    own = {
        table: settings.resources.get(table, ResourceSettings()).model_copy(
            update={"partitions": PartitionsSettings(type="dynamic", name=definition.name)}
        )
        for table, definition in by_file.items()
    }
    return settings.model_copy(update={"partitions": None, "resources": {**settings.resources, **own}})
