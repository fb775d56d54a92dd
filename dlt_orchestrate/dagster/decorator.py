"""The decorator: one op for the resources of a source, with a body of yours; what dagster-dlt's users know."""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from dagster import (
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    AutomationCondition,
    BackfillPolicy,
    FreshnessPolicy,
    HookDefinition,
    PartitionsDefinition,
    RetryPolicy,
    multi_asset,
)

from dlt_orchestrate.dagster.bindings import SourceLike, bind
from dlt_orchestrate.dagster.checks import Check, CheckName
from dlt_orchestrate.dagster.declared import AssetArguments, declare, expect_materialized
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.dagster.nested import NestedTables
from dlt_orchestrate.dagster.outcomes import OnEmpty, show_as
from dlt_orchestrate.dagster.partitions import default_backfill_policy
from dlt_orchestrate.dagster.progress import PROGRESS_SECONDS, ProgressKind
from dlt_orchestrate.dagster.translator import DltTranslator
from dlt_orchestrate.pipeline.pipeline import Pipeline


def dlt_assets(
    *,
    dlt_source: SourceLike,
    dlt_pipeline: Pipeline,
    name: str | None = None,
    group_name: str | None = None,
    dagster_dlt_translator: DltTranslator | None = None,
    partitions_def: PartitionsDefinition | None = None,
    backfill_policy: BackfillPolicy | None = None,
    op_tags: Mapping[str, Any] | None = None,
    pool: str | None = None,
    resources: Sequence[str] | None = None,
    retry_policy: RetryPolicy | None = None,
    hooks: AbstractSet[HookDefinition] | None = None,
    owners: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    automation_condition: AutomationCondition[AssetKey] | None = None,
    freshness_policy: FreshnessPolicy | None = None,
    on_empty: OnEmpty = "materialize",
    checks: Sequence[CheckName | Check] = (),
    nested: NestedTables | None = None,
    preview_rows: int = 0,
    preview_masked: Collection[str] = (),
    progress: ProgressKind | None = "log",
    progress_seconds: float = PROGRESS_SECONDS,
    hints: Mapping[str, Any] | None = None,
    upstream: AssetSpec | AssetKey | None = None,
) -> Callable[[Callable[..., Any]], AssetsDefinition]:
    """Decorate a function that loads the resources of a source with `yield from dlt.run(context=context)`.

    The arguments are those of dagster-dlt's decorator, and after `pool` those of `ingest_assets`, which needs no body.

    Args:
        name: The op's name; the function's name if not given.
        partitions_def: Partitions of all assets. What bounds a source that the body makes is the body's business.
        backfill_policy: One run for a whole range by default if partitions are windows of time, else a run for each.
        resources: Names of the resources; needed only if the source cannot be evaluated without its configuration.
        owners, tags, automation_condition, freshness_policy, on_empty, checks, nested, preview_rows, preview_masked,
            progress, progress_seconds, hints, upstream: As in `ingest_assets`.

    Raises:
        DeclarationError: The source does not tell its resources without configuration.
        UnknownResourceError: Nested tables or hints name a resource that is none.
    """
    said = AssetArguments(
        translator=dagster_dlt_translator,
        resources=resources,
        group_name=group_name,
        owners=owners,
        tags=tags,
        automation_condition=automation_condition,
        freshness_policy=freshness_policy,
        hints=hints,
        upstream=upstream,
        on_empty=on_empty,
        checks=checks,
        nested=nested,
        preview_rows=preview_rows,
        preview_masked=preview_masked,
        progress=progress,
        progress_seconds=progress_seconds,
    )
    declared = declare(dlt_source, dlt_pipeline, said)
    if partitions_def is not None:
        expect_materialized(on_empty, declared.binding.recipe.name)

    def decorate(body: Callable[..., Any]) -> AssetsDefinition:
        definition = multi_asset(
            name=name and op_name(name),
            can_subset=True,
            specs=declared.specs_of(declared.binding.resources),
            check_specs=declared.check_specs_of(declared.binding.resources),
            partitions_def=partitions_def,
            backfill_policy=backfill_policy or default_backfill_policy(partitions_def),
            op_tags=op_tags,
            pool=pool,
            retry_policy=retry_policy,
            hooks=hooks,
        )(body)
        bind(definition.op, declared.binding)
        show_as(definition.op, declared.reporting)
        return definition

    return decorate


def build_ingest_asset_specs(
    source: SourceLike,
    pipeline: Pipeline,
    translator: DltTranslator | None = None,
    *,
    resources: Sequence[str] | None = None,
    upstream: AssetSpec | AssetKey | None = None,
) -> Sequence[AssetSpec]:
    """The specs alone, for an op of your own or for tests of lineage; arguments as in `ingest_assets`."""
    said = AssetArguments(translator=translator, resources=resources, upstream=upstream)
    return list(declare(source, pipeline, said).specs.values())
