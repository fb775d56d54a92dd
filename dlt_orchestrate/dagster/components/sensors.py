"""Sensors as YAML describes them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dagster import (
    AssetsDefinition,
    AssetSpec,
    ComponentLoadContext,
    DefaultSensorStatus,
    DynamicPartitionsDefinition,
    SensorDefinition,
)

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.settings import SensorSettings
from dlt_orchestrate.dagster.components.sources import imported
from dlt_orchestrate.dagster.components.templates import rendered, scope_of
from dlt_orchestrate.dagster.file_sensor import build_file_sensor
from dlt_orchestrate.dagster.http_sensor import build_http_sensor
from dlt_orchestrate.dagster.naming import RESOURCE, op_name
from dlt_orchestrate.dagster.nested import NESTED_OF
from dlt_orchestrate.dagster.watermark_sensor import build_table_watermark_sensor
from dlt_orchestrate.errors import ComponentError
from dlt_orchestrate.pipeline.pipeline import Pipeline


def sensors_of(
    settings: Sequence[SensorSettings],
    assets: Sequence[AssetsDefinition],
    pipeline: Pipeline,
    context: ComponentLoadContext,
    load: str,
    place: str,
) -> list[SensorDefinition]:
    """The sensors of a load, but for those that look at what the component itself reads.

    Args:
        load: The load's name, which the names of sensors begin with.

    Raises:
        ComponentError: A sensor names what is not there.
    """
    told = [(at, one) for at, one in enumerate(settings) if not one.looks_at_own]
    kinds = [one.type for _, one in told]
    names = [
        one.name or op_name(f"{load}_{one.type}_sensor" + (f"_{at + 1}" if kinds.count(one.type) > 1 else ""))
        for at, one in told
    ]
    made = [
        (f"{place}.{at}", _sensor(one, name, _assets(one, assets, f"{place}.{at}"), pipeline, context, f"{place}.{at}"))
        for (at, one), name in zip(told, names, strict=True)
    ]
    expect_distinct(made)
    return [sensor for _, sensor in made]


def resources_of(settings: SensorSettings, known: Collection[str], place: str) -> list[str]:
    """The resources that a sensor names, each once; a name that is none of them is a pattern. All if it names none.

    Args:
        known: The resources of the load.

    Raises:
        ComponentError: A name or a pattern means none of them.
    """
    if settings.resources is None:
        return list(known)
    found: dict[str, None] = {}
    for at, name in enumerate(settings.resources):
        matching = [name] if name in known else [one for one in known if fnmatchcase(one, name)]
        if not matching:
            raise ComponentError(
                place=f"{place}.resources.{at}", problem=f"the load has no resource {name!r}. {meant(name, known)}"
            )
        found.update(dict.fromkeys(matching))
    return list(found)


def expect_distinct(sensors: Sequence[tuple[str, SensorDefinition]]) -> None:
    """Refuse sensors of one name.

    Args:
        sensors: Each with its place in the file.

    Raises:
        ComponentError: Two have the same name.
    """
    places: dict[str, str] = {}
    for place, sensor in sensors:
        if sensor.name in places:
            raise ComponentError(
                place=place,
                problem=f"its sensor is called {sensor.name!r}, as one of {places[sensor.name]} is. Give one of them "
                "another 'name'",
            )
        places[sensor.name] = place


def specs_by_resource(assets: Iterable[object]) -> dict[str, list[AssetSpec]]:
    """The asset of each resource, by its name, with those of its nested tables, which its step makes along with it."""
    found: dict[str, list[AssetSpec]] = {}
    for asset in assets:
        for spec in asset.specs if isinstance(asset, AssetsDefinition) else ():
            if (resource := spec.metadata.get(RESOURCE, spec.metadata.get(NESTED_OF))) is not None:
                found.setdefault(resource, []).append(spec)
    return found


def of_every_sensor(settings: SensorSettings) -> dict[str, Any]:
    """What is told of a sensor whatever it looks at."""
    return {
        "minimum_interval_seconds": settings.interval_seconds,
        "default_status": DefaultSensorStatus.RUNNING if settings.is_running else DefaultSensorStatus.STOPPED,
    }


def placed(bucket_url: str, root: Path) -> str:
    """An address as it is; a path in the folder of the project."""
    return bucket_url if "://" in bucket_url else str(root / bucket_url)


def _sensor(
    settings: SensorSettings,
    name: str,
    specs: Sequence[AssetSpec],
    pipeline: Pipeline,
    context: ComponentLoadContext,
    place: str,
) -> SensorDefinition:
    def later(field: str) -> Callable[[], Any]:
        """A field with templates carried out, and with what it names read at the tick."""
        scope = scope_of(context)
        value = late(getattr(settings, field), f"{place}.{field}", lambda text, at: rendered(text, scope, at))
        return lambda: filled(value, Resolver.from_environment(), owner=f"Sensor {name!r}")

    assets = [spec.key for spec in specs]
    of_all: dict[str, Any] = {"name": name, **of_every_sensor(settings)}
    match settings.type:
        case "http":
            return build_http_sensor(later("url"), assets, headers=later("headers"), **of_all)
        case "files":
            place_of = later("bucket_url")
            return build_file_sensor(
                lambda: placed(str(place_of()), context.project_root),
                assets,
                file_glob=settings.file_glob,
                credentials=later("credentials"),
                min_age_seconds=settings.min_age_seconds,
                max_files=settings.max_files,
                partitions_def=_partitions(specs, place),
                **of_all,
            )
        case "watermark":
            connect = imported(settings.connect, context, f"{place}.connect") if settings.connect else None
            where = {"pipeline": pipeline} if connect is None else {"connect": connect}
            return build_table_watermark_sensor(settings.query or "", assets, **where, **of_all)


def _partitions(specs: Sequence[AssetSpec], place: str) -> DynamicPartitionsDefinition | None:
    """The dynamic partitions of assets, which get one for each file that a sensor meets; None if they have none.

    Raises:
        ComponentError: The assets have different ones, and a run covers a partition of one set.
    """
    found = [spec.partitions_def for spec in specs if spec.partitions_def is not None]
    dynamic = [one for one in found if isinstance(one, DynamicPartitionsDefinition)]
    if not dynamic:
        return None
    if any(one != dynamic[0] for one in found):
        raise ComponentError(
            place=place,
            problem="the assets that it launches are partitioned differently, and a run covers one partition. Give each "
            "sensor 'resources' that have the same partitions",
        )
    return dynamic[0]


def _assets(settings: SensorSettings, assets: Sequence[AssetsDefinition], place: str) -> list[AssetSpec]:
    """The assets that a sensor launches: those of its resources, or all, with their nested tables."""
    if settings.resources is None:
        return [spec for asset in assets for spec in asset.specs]
    known = specs_by_resource(assets)
    return [spec for resource in resources_of(settings, known, place) for spec in known[resource]]
