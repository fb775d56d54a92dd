"""The factory: every resource of a source becomes an asset."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from typing import Any, Literal

from dagster import (
    AssetExecutionContext,
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

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.bindings import SourceLike, bind
from dlt_orchestrate.dagster.checks import Check, CheckName
from dlt_orchestrate.dagster.config import LoadConfig
from dlt_orchestrate.dagster.declared import AssetArguments, Declared, declare, named_resources
from dlt_orchestrate.dagster.naming import op_name, op_names
from dlt_orchestrate.dagster.nested import NestedTables
from dlt_orchestrate.dagster.outcomes import LoadEvent, OnEmpty
from dlt_orchestrate.dagster.partitions import default_backfill_policy
from dlt_orchestrate.dagster.progress import PROGRESS_SECONDS, ProgressKind
from dlt_orchestrate.dagster.step import load_resources, selected_resources
from dlt_orchestrate.dagster.translator import DltTranslator
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.pipeline import Pipeline

Isolation = Literal["resource", "source"] | Mapping[str, Sequence[str]]

_LOAD_CONFIG = LoadConfig.to_fields_dict()
"""Made once: for an argument of type LoadConfig Dagster makes it anew for each op, a quarter of the time of defining."""


def ingest_assets(
    source: SourceLike,
    pipeline: Pipeline,
    *,
    name: str | None = None,
    group_name: str | None = None,
    translator: DltTranslator | None = None,
    resources: Sequence[str] | None = None,
    isolation: Isolation = "resource",
    retry_policy: RetryPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
    hooks: AbstractSet[HookDefinition] | None = None,
    owners: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    automation_condition: AutomationCondition[AssetKey] | None = None,
    freshness_policy: FreshnessPolicy | None = None,
    partitions_def: PartitionsDefinition | Mapping[str, PartitionsDefinition] | None = None,
    backfill_policy: BackfillPolicy | None = None,
    on_empty: OnEmpty = "materialize",
    checks: Sequence[CheckName | Check] = (),
    nested: NestedTables | None = None,
    preview_rows: int = 0,
    preview_masked: Collection[str] = (),
    progress: ProgressKind | None = "log",
    progress_seconds: float = PROGRESS_SECONDS,
    hints: Mapping[str, Any] | None = None,
    upstream: AssetSpec | AssetKey | None = None,
    op_overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[AssetsDefinition]:
    """Make an asset of each resource of `source`; materializing it runs extract, normalize and load.

    Nothing is read while definitions load: no network, no secrets, no destination. The source is evaluated, with its
    configuration, in the step, afresh for each attempt.

    Args:
        source: A source, or a function that returns one, such as a function decorated with `@source`.
        pipeline: Where the rows go.
        name: First part of the ops' names; the source's name if not given.
        group_name: Group of the assets whose translator gives none.
        resources: Names of the resources; needed only if the source cannot be evaluated without its configuration.
        isolation: `resource`: an op for each resource, so that one fails, retries and is timed alone. `source`: one op
            that loads the selected resources, those declared `parallelized` side by side in threads; each commits alone.
            Groups of resources by name, such as `{"small": ["teams", "labels"]}`, have an op each, as have all others.
        pool: A Dagster pool for the ops. Loads wait for each other at the destination without one.
        owners, automation_condition, freshness_policy: For the assets whose translator gives none.
        tags: For all assets, beside those that the translator gives.
        partitions_def: Partitions of all these assets, or of those of some resources, by name. A window of time bounds the
            cursor of each resource, which is neither read nor moved; any other key is what the resource learns from
            `current.partition_key()`.
        backfill_policy: One run for a whole range by default if partitions are windows of time, else a run for each.
        on_empty: What a load tells that found nothing new: a materialization with the data version of the one before, an
            observation, or nothing; after the latter two nothing downstream runs in the same run.
        checks: What is checked of each asset in the step that loads it, by name or as a check of your own.
            `schema_contract` blocks what is downstream.
        nested: Nested tables that shall be assets of their own, below their resource, such as `{"orders": ["lines"]}`.
        preview_rows: How many rows of each load are shown on the asset, ten at most; the values of columns named in
            `preview_masked` are not.
        progress: What a step says of a load that takes long: lines of its log, or observations of the asset, whose numbers
            are plotted; None for nothing. It says so at most once in `progress_seconds`.
        upstream: The asset of the system that the source reads, as `build_source_spec` makes it: the assets depend on it,
            and their columns on its fields.
        hints: Hints of the assets by resource, as `resource(asset=...)` takes them; they go before those of the resources.
        op_overrides: For the ops of some resources: `retry_policy`, `pool`, `op_tags` (added), `hooks` or `backfill_policy`
            by the resource's name, in place of those of all.

    Raises:
        DeclarationError: The source does not tell its resources without configuration, or nothing bounds a resource that
            shall be partitioned; or an op of several resources has overrides or partitions for one of them, or an override
            that ops do not have.
        UnknownResourceError: Groups, nested tables, partitions or overrides name a resource that is none.
    """
    said = AssetArguments(
        translator=translator,
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
    declared = declare(source, pipeline, said, partitions_def=partitions_def)
    source_name = declared.binding.recipe.name
    settings = _OpSettings(
        retry_policy=retry_policy, pool=pool, op_tags=op_tags, hooks=hooks, backfill_policy=backfill_policy
    )
    overrides = op_overrides or {}
    named_resources(overrides, declared.specs, source_name)
    return [
        _op(
            declared,
            op,
            of_op,
            settings.for_op(op, of_op, overrides),
            can_subset=len(of_op) > 1 or isolation == "source",
        )
        for op, of_op in _ops(isolation, name or source_name, list(declared.specs), source_name).items()
    ]


def _ops(isolation: Isolation, prefix: str, resources: Sequence[str], source: str) -> dict[str, list[str]]:
    """The names of the ops with the resources that each loads.

    Raises:
        UnknownResourceError: A group names a resource that is none.
        DeclarationError: A resource is in two groups, or a group is empty.
    """
    if isolation == "source":
        return {op_name(prefix): list(resources)}
    groups = {} if isinstance(isolation, str) else isolation
    grouped = [resource for members in groups.values() for resource in members]
    named_resources(dict.fromkeys(grouped, ()), resources, source)
    if twice := next((one for one in grouped if grouped.count(one) > 1), None):
        raise DeclarationError(f"Source {source!r}: isolation has {twice!r} in two places. A resource is loaded by one op.")
    if empty := next((group for group, members in groups.items() if not members), None):
        raise DeclarationError(f"Source {source!r}: isolation has a group {empty!r} without resources. Leave it out.")
    alone = [resource for resource in resources if resource not in grouped]
    # Named together, so that no group takes the name of a resource.
    names = op_names(prefix, [*groups, *alone])
    return {op: list(groups[one]) if one in groups else [one] for one, op in names.items()}


@dataclass(frozen=True)
class _OpSettings:
    """What Dagster may be told of an op."""

    retry_policy: RetryPolicy | None
    pool: str | None
    op_tags: Mapping[str, Any] | None
    hooks: AbstractSet[HookDefinition] | None
    backfill_policy: BackfillPolicy | None

    def for_op(self, op: str, resources: Sequence[str], overrides: Mapping[str, Mapping[str, Any]]) -> "_OpSettings":
        """These settings, with those that the op's resource has in their place."""
        overridden = [resource for resource in resources if overrides.get(resource)]
        if not overridden:
            return self
        if len(resources) > 1:
            raise DeclarationError(
                f"Op {op!r} loads {', '.join(resources)} in one step, and {overridden[0]!r} has settings of its own. "
                "Give it an op of its own, or the settings to all."
            )
        given = dict(overrides[overridden[0]])
        known = [field.name for field in fields(self)]
        if unknown := next((name for name in given if name not in known), None):
            raise DeclarationError(
                f"Op {op!r}: op_overrides give resource {overridden[0]!r} a setting {unknown!r}, which ops do not have. "
                f"{meant(unknown, known)}"
            )
        if "op_tags" in given:
            given["op_tags"] = {**(self.op_tags or {}), **given["op_tags"]}
        return replace(self, **given)


def _op(
    declared: Declared, name: str, resources: Sequence[str], settings: _OpSettings, *, can_subset: bool
) -> AssetsDefinition:
    partitions_def = _common_partitions(declared, name, resources)

    @multi_asset(
        name=name,
        specs=declared.specs_of(resources),
        check_specs=declared.check_specs_of(resources),
        can_subset=can_subset,
        retry_policy=settings.retry_policy,
        pool=settings.pool,
        op_tags=settings.op_tags,
        hooks=settings.hooks,
        backfill_policy=settings.backfill_policy or default_backfill_policy(partitions_def),
        config_schema=_LOAD_CONFIG,
    )
    def ingest(context: AssetExecutionContext) -> Iterator[LoadEvent]:
        config = LoadConfig(**context.op_execution_context.op_config)
        wanted = selected_resources(context)
        yield from load_resources(context, declared.binding, wanted, config=config, reporting=declared.reporting)

    bind(ingest.op, declared.binding)
    return ingest


def _common_partitions(declared: Declared, op: str, resources: Sequence[str]) -> PartitionsDefinition | None:
    """The partitions of an op's assets.

    Raises:
        DeclarationError: They are not partitioned alike, and one step loads one partition of all.
    """
    found = {resource: declared.specs[resource].partitions_def for resource in resources}
    first, *others = found
    for other in others:
        if found[other] != found[first]:
            raise DeclarationError(
                f"Op {op!r} loads {first!r} and {other!r} in one step, and they are partitioned differently. Give both the "
                "same partitions, or a step each with isolation='resource'."
            )
    return found[first]
