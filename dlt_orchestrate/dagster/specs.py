"""Asset specs of a source's resources, found without network, secrets or destination."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster import AssetDep, AssetKey, AssetSpec, PartitionsDefinition

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.dagster.bindings import Binding
from dlt_orchestrate.dagster.naming import PARENT, PARENT_ASSET, RESOURCE, UPSTREAM
from dlt_orchestrate.dagster.partitions import expect_partitionable
from dlt_orchestrate.dagster.translator import DltTranslator, ResourceTranslatorData
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import ConfigFieldMissingError, SourceNotEvaluatedError, UnknownResourceError

PartitionsOf = PartitionsDefinition | Mapping[str, PartitionsDefinition]
"""Partitions of all assets, or of those of some resources, by name."""


def asset_specs(
    known: Mapping[str, ResourceTranslatorData],
    *,
    translator: DltTranslator,
    partitions_def: PartitionsOf | None = None,
    upstream: AssetKey | None = None,
) -> dict[str, AssetSpec]:
    """The spec of each resource, by the resource's name.

    Args:
        upstream: The asset of the system that the source reads.

    Raises:
        UnknownResourceError: There are partitions for a resource that is none.
        DeclarationError: Nothing bounds a resource that shall be partitioned.
    """
    specs = {name: _tied_to(name, translator.get_asset_spec(data)) for name, data in known.items()}
    specs = {name: _partitioned(spec, known[name], partitions_def) for name, spec in specs.items()}
    declared = {name: data.resource for name, data in known.items()}
    return {name: _below(spec, declared[name], specs, declared, upstream) for name, spec in specs.items()}


def translated(
    binding: Binding, *, resources: Sequence[str] | None = None, hints: Mapping[str, Any] | None = None
) -> dict[str, ResourceTranslatorData]:
    """What a translator learns of each resource, by the resource's name.

    Args:
        resources: Names of the resources; without them the source is evaluated once, with placeholders for missing values.
        hints: Of the assets, by the resource's name; they go before those that the resources declare.

    Raises:
        UnknownResourceError: There are hints for a resource that is none.
        SourceNotEvaluatedError: The source cannot be evaluated with placeholders.
    """
    declared = _declared(binding) if resources is None else dict.fromkeys(resources)
    given = {name: AssetHints.of(of_asset, resource=name) for name, of_asset in (hints or {}).items()}
    if unknown := given.keys() - declared.keys():
        raise UnknownResourceError(
            source=binding.recipe.name,
            asked=sorted(unknown),
            known=list(declared),
            likely=likely(sorted(unknown), declared),
        )
    recipe, table_name = binding.recipe, _table_names(binding)
    return {
        name: ResourceTranslatorData(
            resource_name=name,
            source=recipe,
            pipeline_name=binding.pipeline.pipeline_name,
            destination_name=binding.pipeline.destination_name,
            resource=resource,
            table_name=table_name(resource.table_name if resource else name),
            hints=_hints(resource, given.get(name)),
        )
        for name, resource in declared.items()
    }


def _declared(binding: Binding) -> Mapping[str, Resource | None]:
    """The resources that a run loads, as their source declares them."""
    recipe = binding.recipe
    resolver = Resolver.from_environment().for_pipeline(binding.pipeline.pipeline_name)
    try:
        found = recipe.evaluate(resolver, placeholders=True)
    except Exception as error:
        raise SourceNotEvaluatedError(source=recipe.name, cause=error) from error
    return {resource.name: resource for resource in found if resource.selected}


def _hints(resource: Resource | None, given: AssetHints | None) -> AssetHints:
    """The hints of a resource, behind those that the assets are given."""
    declared = resource.asset_hints if resource else AssetHints()
    return given.over(declared) if given else declared


def _table_names(binding: Binding) -> Callable[[object], str | None]:
    """Tells the full name of a root table: None if a function tells it record by record, or a secret that is not there."""
    pipeline = binding.pipeline
    try:
        destination = pipeline.destination
    except ConfigFieldMissingError:
        return lambda _table: None
    naming, dataset = pipeline.naming_of(binding.recipe.name), pipeline.dataset_name

    def full_name(table: object) -> str | None:
        return destination.qualified_name(dataset, naming.table((table,))) if isinstance(table, str) else None

    return full_name


def _partitioned(spec: AssetSpec, data: ResourceTranslatorData, partitions_def: PartitionsOf | None) -> AssetSpec:
    """The spec with the partitions that are meant for it; those that a translator gave stay."""
    of_all = partitions_def.get(data.resource_name) if isinstance(partitions_def, Mapping) else partitions_def
    definition = spec.partitions_def or of_all
    if definition is None:
        return spec
    if data.resource is not None:
        expect_partitionable(data.source, [data.resource], definition)
    return spec.replace_attributes(partitions_def=definition)


def _below(
    spec: AssetSpec,
    resource: Resource | None,
    specs: Mapping[str, AssetSpec],
    declared: Mapping[str, Resource | None],
    upstream: AssetKey | None,
) -> AssetSpec:
    """The spec, depending on the nearest resource that feeds it and is an asset, too, else on the system that is read."""
    parent = resource.upstream if resource else None
    while parent is not None and (parent.name not in specs or not _is_same(parent, declared.get(parent.name))):
        parent = parent.upstream
    above = specs[parent.name].key if parent is not None else upstream
    tied = {
        **({UPSTREAM: upstream.to_user_string()} if upstream is not None else {}),
        **({PARENT: parent.name, PARENT_ASSET: specs[parent.name].key.to_user_string()} if parent is not None else {}),
    }
    if tied:
        spec = spec.replace_attributes(metadata={**spec.metadata, **tied})
    if above is None or any(dep.asset_key == above for dep in spec.deps):
        return spec
    return spec.replace_attributes(deps=[*spec.deps, AssetDep(above)])


def _is_same(parent: Resource, sibling: Resource | None) -> bool:
    """Whether what feeds a resource is an asset, and not only called so: what lists files is called `filesystem`."""
    return sibling is None or parent is sibling or (parent.function is not None and parent.function is sibling.function)


def _tied_to(resource: str, spec: AssetSpec) -> AssetSpec:
    """The spec with the resource's name in its metadata, should a translator have dropped it."""
    if spec.metadata.get(RESOURCE) == resource:
        return spec
    return spec.replace_attributes(metadata={**spec.metadata, RESOURCE: resource})
