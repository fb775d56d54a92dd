"""What the factory and the decorator declare alike: the assets of a source, and how their loads are shown."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster import AssetCheckSpec, AssetKey, AssetSelection, AssetSpec, AutomationCondition, FreshnessPolicy

from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.dagster.bindings import Binding, SourceLike
from dlt_orchestrate.dagster.checks import Check, CheckName, check_specs, to_checks
from dlt_orchestrate.dagster.nested import NestedTables, nested_specs
from dlt_orchestrate.dagster.outcomes import OnEmpty, Reporting
from dlt_orchestrate.dagster.preview import Preview
from dlt_orchestrate.dagster.progress import PROGRESS_SECONDS, ProgressKind
from dlt_orchestrate.dagster.specs import PartitionsOf, asset_specs, translated
from dlt_orchestrate.dagster.translator import DltTranslator
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, UnknownResourceError
from dlt_orchestrate.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class AssetArguments:
    """What is said of all assets of a source; `ingest_assets` tells what each means."""

    translator: DltTranslator | None = None
    resources: Sequence[str] | None = None
    group_name: str | None = None
    owners: Sequence[str] | None = None
    tags: Mapping[str, str] | None = None
    automation_condition: AutomationCondition[AssetKey] | None = None
    freshness_policy: FreshnessPolicy | None = None
    hints: Mapping[str, Any] | None = None
    upstream: AssetSpec | AssetKey | None = None
    on_empty: OnEmpty = "materialize"
    checks: Sequence[CheckName | Check] = ()
    nested: NestedTables | None = None
    preview_rows: int = 0
    preview_masked: Collection[str] = ()
    progress: ProgressKind | None = "log"
    progress_seconds: float = PROGRESS_SECONDS


@dataclass(frozen=True)
class Declared:
    """The assets of a source.

    Attributes:
        specs: The asset of each resource, by the resource's name; `nested` those of its nested tables.
    """

    binding: Binding
    specs: Mapping[str, AssetSpec]
    nested: Mapping[str, Sequence[AssetSpec]]
    reporting: Reporting

    def specs_of(self, resources: Collection[str]) -> list[AssetSpec]:
        """The assets of some resources, those of their nested tables behind them."""
        return [*(self.specs[one] for one in resources), *(spec for one in resources for spec in self.nested.get(one, ()))]

    def check_specs_of(self, resources: Collection[str]) -> list[AssetCheckSpec]:
        """The checks of the assets of some resources."""
        keys = [self.specs[one].key for one in resources]
        return [spec for key in keys for spec in check_specs(self.reporting.checks.get(key, ()), key)]


def declare(
    source: SourceLike, pipeline: Pipeline, said: AssetArguments, *, partitions_def: PartitionsOf | None = None
) -> Declared:
    """Declare the assets of a source.

    Raises:
        DeclarationError: The source does not tell its resources without configuration, or nothing bounds a resource that
            shall be partitioned.
        UnknownResourceError: Nested tables, hints or partitions are said of a resource that is none.
    """
    binding = Binding(source, pipeline)
    translator = said.translator or DltTranslator()
    source_name = binding.recipe.name
    known = translated(binding, resources=said.resources, hints=said.hints)
    if isinstance(partitions_def, Mapping):
        named_resources(partitions_def, known, source_name)
    upstream = said.upstream.key if isinstance(said.upstream, AssetSpec) else said.upstream
    specs = asset_specs(known, translator=translator, partitions_def=partitions_def, upstream=upstream)
    specs = {name: _automated(_shown(spec, said, source_name), upstream) for name, spec in specs.items()}
    checks = {
        spec.key: to_checks(said.checks, over=to_checks(translator.get_checks(known[name]))) for name, spec in specs.items()
    }
    binding = replace(binding, resources=tuple(specs))
    return Declared(
        binding=binding,
        specs=specs,
        nested=nested_specs(binding, specs, named_resources(said.nested or {}, specs, source_name)),
        reporting=Reporting(
            on_empty=said.on_empty,
            checks=checks,
            preview=Preview(said.preview_rows, frozenset(said.preview_masked)),
            progress=said.progress,
            progress_seconds=said.progress_seconds,
        ),
    )


def named_resources(named: Mapping[str, Any], resources: Collection[str], source: str) -> Mapping[str, Any]:
    """What is said of resources, which are all there.

    Raises:
        UnknownResourceError: One of them is not.
    """
    unknown = [resource for resource in named if resource not in resources]
    if unknown:
        raise UnknownResourceError(source=source, asked=unknown, known=resources, likely=likely(unknown, resources))
    return named


def _shown(spec: AssetSpec, said: AssetArguments, source: str) -> AssetSpec:
    """The spec with what is said of all assets, where the translator said nothing."""
    if spec.partitions_def is not None:
        expect_materialized(said.on_empty, source)
    for_all = {
        "group_name": said.group_name,
        "owners": said.owners,
        "automation_condition": said.automation_condition,
        "freshness_policy": said.freshness_policy,
    }
    given: dict[str, Any] = {
        name: value for name, value in for_all.items() if value is not None and not getattr(spec, name)
    }
    if said.tags:
        given["tags"] = {**said.tags, **spec.tags}
    if said.on_empty != "materialize":
        given["skippable"] = True
    return spec.replace_attributes(**given) if given else spec


def _automated(spec: AssetSpec, upstream: AssetKey | None) -> AssetSpec:
    """The spec with a condition that does not wait for the system which is read: nothing ever materializes that."""
    ignore = getattr(spec.automation_condition, "ignore", None)  # conditions that look at no asset above have none
    if upstream is None or ignore is None:
        return spec
    return spec.replace_attributes(automation_condition=ignore(AssetSelection.assets(upstream)))


def expect_materialized(on_empty: OnEmpty, source: str) -> None:
    """Partitions are always materialized.

    Raises:
        DeclarationError: They shall not be, if nothing came.
    """
    if on_empty != "materialize":
        raise DeclarationError(
            f"Source {source!r}: on_empty={on_empty!r} does not go with partitions_def, since a partition that is not "
            "materialized counts as missing. Leave on_empty out."
        )
