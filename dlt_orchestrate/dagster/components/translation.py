"""Assets as YAML describes them: what is said of all, then the translation, then what is said of the one resource."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetKey, AssetSpec, AutomationCondition, FreshnessPolicy, ResolutionContext

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.automation import when_data_changes
from dlt_orchestrate.dagster.checks import Check, CheckName
from dlt_orchestrate.dagster.components.checks import checks_of
from dlt_orchestrate.dagster.components.partitions import partitions_of
from dlt_orchestrate.dagster.components.settings import (
    AssetSettings,
    Automation,
    CronSettings,
    FreshnessSettings,
    ResourceSettings,
    TargetSettings,
    TranslationSettings,
)
from dlt_orchestrate.dagster.components.templates import rendered
from dlt_orchestrate.dagster.translator import DltTranslator, ResourceTranslatorData
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.asset_hints import duration
from dlt_orchestrate.errors import ComponentError


@dataclass(frozen=True)
class ResourceInYaml:
    """What templates know as `resource`."""

    name: str
    source: str
    pipeline: str
    table: str | None
    description: str | None


@dataclass(frozen=True)
class PipelineInYaml:
    """What templates know as `pipeline`."""

    pipeline_name: str
    destination_name: str


class ComponentTranslator(DltTranslator):
    """Reads the assets of one load from its settings."""

    def __init__(self, settings: TargetSettings, context: ResolutionContext, place: str) -> None:
        self._settings = settings
        self._context = context
        self._place = place

    def get_asset_spec(self, data: ResourceTranslatorData) -> AssetSpec:
        known = ResourceInYaml(
            data.resource_name,
            data.source_name,
            data.pipeline_name,
            data.table_name,
            data.resource.description if data.resource else None,
        )
        spec = super().get_asset_spec(data)
        scoped = self._context.with_scope(
            resource=known, pipeline=PipelineInYaml(data.pipeline_name, data.destination_name), spec=spec
        )
        spec = _described(spec, self._settings, scoped, self._place)
        spec = self._translated(spec, data, scoped)
        if (own := self._settings.resources.get(data.resource_name)) is not None:
            spec = _of_resource(spec, own, scoped, f"{self._place}resources.{data.resource_name}.")
        return spec

    def get_checks(self, data: ResourceTranslatorData) -> Sequence[CheckName | Check]:
        own = self._settings.resources.get(data.resource_name)
        return checks_of(own.checks, f"{self._place}resources.{data.resource_name}.checks") if own else ()

    def _translated(self, spec: AssetSpec, data: ResourceTranslatorData, context: ResolutionContext) -> AssetSpec:
        place = f"{self._place}translation"
        translation = self._settings.translation
        if isinstance(translation, str):
            found = rendered(translation, context, place)
            if not callable(found):
                raise ComponentError(
                    place=place,
                    problem=f"the template gives a {type(found).__name__}, and should give a function of an "
                    "asset spec and the data of a resource",
                )
            translated = found(spec, data)
            assert isinstance(translated, AssetSpec)
            return translated
        return spec if translation is None else _by_fields(spec, translation, context, place)


def _by_fields(spec: AssetSpec, translation: TranslationSettings, context: ResolutionContext, place: str) -> AssetSpec:
    given: dict[str, Any] = {
        name: rendered(getattr(translation, name), context, f"{place}.{name}") for name in translation.model_fields_set
    }
    if given.get("automation_condition") is not None:
        given["automation_condition"] = _condition(given["automation_condition"], context, f"{place}.automation_condition")
    if (key := given.pop("key", None)) is not None:
        given["key"] = _asset_key(key)
    prefix = given.pop("key_prefix", None)
    if given.get("deps") is not None:
        given["deps"] = [*spec.deps, *map(_asset_key, given["deps"])]
    spec = _with(spec, **given)
    if prefix is not None:
        parts = [prefix] if isinstance(prefix, str) else prefix
        spec = spec.replace_attributes(key=spec.key.with_prefix([str(part) for part in parts]))
    return spec


def _of_resource(spec: AssetSpec, own: ResourceSettings, context: ResolutionContext, place: str) -> AssetSpec:
    spec = _described(spec, own, context, place)
    given: dict[str, Any] = {}
    if own.key is not None:
        given["key"] = _asset_key(rendered(own.key, context, f"{place}key"))
    if own.group is not None:
        given["group_name"] = rendered(own.group, context, f"{place}group")
    if own.description is not None:
        given["description"] = rendered(own.description, context, f"{place}description")
    if own.deps is not None:
        given["deps"] = [*spec.deps, *map(_asset_key, rendered(own.deps, context, f"{place}deps"))]
    given["partitions_def"] = partitions_of(own.partitions, context, f"{place}partitions")
    return _with(spec, **given)


def _described(spec: AssetSpec, settings: AssetSettings, context: ResolutionContext, place: str) -> AssetSpec:
    given: dict[str, Any] = {
        name: rendered(getattr(settings, name), context, f"{place}{name}")
        for name in ("owners", "tags", "kinds", "metadata")
        if getattr(settings, name) is not None
    }
    if isinstance(settings, TargetSettings) and settings.group is not None:
        given["group_name"] = rendered(settings.group, context, f"{place}group")
    if settings.automation is not None:
        given["automation_condition"] = _condition(settings.automation, context, f"{place}automation")
    if settings.freshness is not None:
        given["freshness_policy"] = _freshness(settings.freshness, context, f"{place}freshness")
    return _with(spec, **given)


def _with(spec: AssetSpec, **given: Any) -> AssetSpec:
    """The spec with these attributes; tags, kinds and metadata are added to those that it has."""
    given = {name: value for name, value in given.items() if value is not None}
    added = {name: given.pop(name) for name in ("tags", "kinds", "metadata") if name in given}
    if "tags" in added:
        added["tags"] = {name: str(value) for name, value in added["tags"].items()}
    if "kinds" in added:
        added["kinds"] = {*map(str, added["kinds"])}
    return spec.replace_attributes(**given).merge_attributes(**added)


def _asset_key(key: Any) -> AssetKey:
    return key if isinstance(key, AssetKey) else AssetKey.from_user_string(str(key))


def _condition(automation: Automation | Any, context: ResolutionContext, place: str) -> Any:
    if isinstance(automation, CronSettings):
        cron = rendered(automation.cron, context, f"{place}.cron")
        try:
            return AutomationCondition.on_cron(cron, automation.timezone)
        except Exception as error:  # noqa: BLE001 - whatever Dagster says against the fields
            raise ComponentError(place=f"{place}.cron", problem=str(error)) from None
    found = rendered(automation, context, place)
    if isinstance(found, AutomationCondition):
        return found
    known: Mapping[str, AutomationCondition[Any]] = {
        "eager": AutomationCondition.eager(),
        "on_missing": AutomationCondition.on_missing(),
        "when_data_changes": when_data_changes(),
    }
    if found not in known:
        raise ComponentError(
            place=place,
            problem=f"{found!r} is no condition. {meant(str(found), known)} "
            "Or give {cron: ...}, or a template such as '{{ dg.AutomationCondition.eager() }}'",
        )
    return known[found]


def _freshness(freshness: str | FreshnessSettings, context: ResolutionContext, place: str) -> FreshnessPolicy:
    spans = FreshnessSettings(fail=freshness) if isinstance(freshness, str) else freshness
    found = rendered(spans.fail, context, place)
    if isinstance(found, FreshnessPolicy):
        return found
    try:
        fail, warn = duration(found), duration(spans.warn) if spans.warn else None
        return FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)
    except Exception as error:  # noqa: BLE001 - whatever Dagster says against the spans
        raise ComponentError(place=place, problem=str(error)) from None
