"""The decorator: one op for the resources of a source, with a body of yours; what dagster-dlt's users know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster import (
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    HookDefinition,
    PartitionsDefinition,
    RetryPolicy,
    multi_asset,
)

from dlt_orchestrate.dagster.bindings import Binding, SourceLike, bind
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.dagster.partitions import default_backfill_policy
from dlt_orchestrate.dagster.specs import asset_specs
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
    hooks: frozenset[HookDefinition] | None = None,
) -> Callable[[Callable[..., Any]], AssetsDefinition]:
    """Decorate a function that loads the resources of a source with `yield from dlt.run(context=context)`.

    The arguments are those of dagster-dlt's decorator, and after `pool` some more; `ingest_assets` needs no body.

    Args:
        name: The op's name; the function's name if not given.
        resources: Names of the resources; needed only if the source cannot be evaluated without its configuration.

        backfill_policy: One run for a whole range by default if partitions are windows of time, else a run for each.

    Raises:
        DeclarationError: The source does not tell its resources without configuration.
    """
    declared = Binding(dlt_source, dlt_pipeline)
    specs = asset_specs(declared, translator=dagster_dlt_translator, resources=resources)
    binding = replace(declared, resources=tuple(specs))

    def decorate(body: Callable[..., Any]) -> AssetsDefinition:
        definition = multi_asset(
            name=name and op_name(name),
            can_subset=True,
            specs=[_within(group_name, spec) for spec in specs.values()],
            partitions_def=partitions_def,
            backfill_policy=backfill_policy or default_backfill_policy(partitions_def),
            op_tags=op_tags,
            pool=pool,
            retry_policy=retry_policy,
            hooks=hooks,
        )(body)
        bind(definition.op, binding)
        return definition

    return decorate


def _within(group_name: str | None, spec: AssetSpec) -> AssetSpec:
    """The spec in a group, if it says none itself."""
    return spec.replace_attributes(group_name=group_name) if group_name and not spec.group_name else spec


def build_ingest_asset_specs(
    source: SourceLike,
    pipeline: Pipeline,
    translator: DltTranslator | None = None,
    *,
    resources: Sequence[str] | None = None,
) -> Sequence[AssetSpec]:
    """The specs alone, for an op of your own or for tests of lineage; arguments as in `ingest_assets`."""
    return list(asset_specs(Binding(source, pipeline), translator=translator, resources=resources).values())
