"""The factory: every resource of a source becomes an asset."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
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

from dlt_orchestrate.dagster.bindings import Binding, SourceLike, bind
from dlt_orchestrate.dagster.checks import Check, CheckName, check_specs, to_checks
from dlt_orchestrate.dagster.config import LoadConfig
from dlt_orchestrate.dagster.naming import op_name, op_names
from dlt_orchestrate.dagster.nested import NestedTables, nested_specs
from dlt_orchestrate.dagster.outcomes import LoadEvent, OnEmpty, Reporting
from dlt_orchestrate.dagster.partitions import default_backfill_policy
from dlt_orchestrate.dagster.preview import Preview
from dlt_orchestrate.dagster.specs import asset_specs
from dlt_orchestrate.dagster.step import load_resources, selected_resources
from dlt_orchestrate.dagster.translator import RESOURCE, DltTranslator
from dlt_orchestrate.errors import DeclarationError, UnknownResourceError
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
    partitions_def: PartitionsDefinition | None = None,
    backfill_policy: BackfillPolicy | None = None,
    on_empty: OnEmpty = "materialize",
    checks: Sequence[CheckName | Check] = (),
    nested: NestedTables | None = None,
    preview_rows: int = 0,
    preview_masked: Collection[str] = (),
    hints: Mapping[str, Any] | None = None,
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
        partitions_def: Partitions of all these assets. A window of time bounds the cursor of each resource, which is
            neither read nor moved; any other key is what the resource learns from `current.partition_key()`.
        backfill_policy: One run for a whole range by default if partitions are windows of time, else a run for each.
        on_empty: What a load tells that found nothing new: a materialization with the data version of the one before, an
            observation, or nothing; after the latter two nothing downstream runs in the same run.
        checks: What is checked of each asset in the step that loads it, by name or as a check of your own.
            `schema_contract` blocks what is downstream.
        nested: Nested tables that shall be assets of their own, below their resource, such as `{"orders": ["lines"]}`.
        preview_rows: How many rows of each load are shown on the asset, ten at most; the values of columns named in
            `preview_masked` are not.
        hints: Hints of the assets by resource, as `resource(asset=...)` takes them; they go before those of the resources.
        op_overrides: For the ops of some resources: `retry_policy`, `pool`, `op_tags` (added), `hooks` or `backfill_policy`
            by the resource's name, in place of those of all.

    Raises:
        DeclarationError: The source does not tell its resources without configuration, or nothing bounds a resource that
            shall be partitioned; or an op of several resources has overrides for one of them.
        UnknownResourceError: Groups, nested tables or overrides name a resource that is none.
    """
    declared = Binding(source, pipeline)
    source_name = declared.recipe.name
    if partitions_def is not None and on_empty != "materialize":
        raise DeclarationError(
            f"Source {source_name!r}: on_empty={on_empty!r} does not go with partitions_def, since a partition that is not "
            "materialized counts as missing. Leave on_empty out."
        )
    specs = {
        resource: _with_defaults(
            spec,
            group_name=group_name,
            owners=owners,
            automation_condition=automation_condition,
            freshness_policy=freshness_policy,
        )
        for resource, spec in asset_specs(
            declared, translator=translator, resources=resources, partitions_def=partitions_def, hints=hints
        ).items()
    }
    if tags:
        specs = {name: spec.replace_attributes(tags={**tags, **spec.tags}) for name, spec in specs.items()}
    if on_empty != "materialize":
        specs = {resource: spec.replace_attributes(skippable=True) for resource, spec in specs.items()}
    binding = replace(declared, resources=tuple(specs))
    below = nested_specs(binding, specs, _known(nested or {}, specs, source_name))
    reporting = Reporting(on_empty, to_checks(checks), Preview(preview_rows, frozenset(preview_masked)))
    settings = _OpSettings(
        retry_policy=retry_policy,
        pool=pool,
        op_tags=op_tags,
        hooks=hooks,
        backfill_policy=backfill_policy or default_backfill_policy(partitions_def),
    )
    overrides = op_overrides or {}
    _known(overrides, specs, source_name)
    return [
        _op(
            binding,
            op,
            [*(specs[one] for one in resources_of_op), *(spec for one in resources_of_op for spec in below.get(one, ()))],
            settings.for_op(op, resources_of_op, overrides),
            reporting,
            can_subset=len(resources_of_op) > 1 or isolation == "source",
        )
        for op, resources_of_op in _ops(isolation, name or source_name, list(specs), source_name).items()
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
    _known(dict.fromkeys(grouped, ()), resources, source)
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
        if "op_tags" in given:
            given["op_tags"] = {**(self.op_tags or {}), **given["op_tags"]}
        return replace(self, **given)


def _op(
    binding: Binding,
    name: str,
    specs: Sequence[AssetSpec],
    settings: _OpSettings,
    reporting: Reporting,
    *,
    can_subset: bool,
) -> AssetsDefinition:
    checks = [check for spec in specs if RESOURCE in spec.metadata for check in check_specs(reporting.checks, spec.key)]

    @multi_asset(
        name=name,
        specs=specs,
        check_specs=checks,
        can_subset=can_subset,
        retry_policy=settings.retry_policy,
        pool=settings.pool,
        op_tags=settings.op_tags,
        hooks=settings.hooks,
        backfill_policy=settings.backfill_policy,
        config_schema=_LOAD_CONFIG,
    )
    def ingest(context: AssetExecutionContext) -> Iterator[LoadEvent]:
        config = LoadConfig(**context.op_execution_context.op_config)
        yield from load_resources(context, binding, selected_resources(context), config=config, reporting=reporting)

    bind(ingest.op, binding)
    return ingest


def _known(named: Mapping[str, Any], resources: Collection[str], source: str) -> Mapping[str, Any]:
    """What is said of resources, which are all there.

    Raises:
        UnknownResourceError: One of them is not.
    """
    unknown = [resource for resource in named if resource not in resources]
    if unknown:
        raise UnknownResourceError(source=source, asked=unknown, known=resources)
    return named


def _with_defaults(spec: AssetSpec, **defaults: Any) -> AssetSpec:
    """The spec, with a value where the translator gave none."""
    missing = {name: value for name, value in defaults.items() if value is not None and not getattr(spec, name)}
    return spec.replace_attributes(**missing) if missing else spec
