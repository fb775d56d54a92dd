"""Partitions as YAML describes them."""

from dagster import (
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    PartitionsDefinition,
    ResolutionContext,
    StaticPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from dlt_orchestrate.dagster.components.settings import PartitionsSettings
from dlt_orchestrate.dagster.components.templates import rendered
from dlt_orchestrate.errors import ComponentError

_WINDOWS = {
    "hourly": HourlyPartitionsDefinition,
    "daily": DailyPartitionsDefinition,
    "weekly": WeeklyPartitionsDefinition,
    "monthly": MonthlyPartitionsDefinition,
}


def partitions_of(
    settings: str | PartitionsSettings | None, scope: ResolutionContext, place: str
) -> PartitionsDefinition | None:
    """The partitions that settings or a template give; None if there are none.

    Raises:
        ComponentError: The template gives something else, or Dagster does not take a date or a time zone.
    """
    if settings is None:
        return None
    if isinstance(settings, str):
        found = rendered(settings, scope, place)
        if not isinstance(found, PartitionsDefinition):
            raise ComponentError(place=place, problem=f"{settings!r} gives a {type(found).__name__}, and no partitions")
        return found
    if settings.type == "static":
        return StaticPartitionsDefinition(rendered(settings.keys, scope, f"{place}.keys"))
    if settings.type == "dynamic":
        return DynamicPartitionsDefinition(name=rendered(settings.name, scope, f"{place}.name"))
    given = settings.model_dump(include={"start_date", "end_date", "timezone", "end_offset"}, exclude_none=True)
    try:
        windows: PartitionsDefinition = _WINDOWS[settings.type](**rendered(given, scope, place))
        return windows
    except Exception as error:  # noqa: BLE001 - whatever Dagster says against a date or a time zone
        raise ComponentError(place=place, problem=str(error)) from None
