"""Asset specs of a source's resources, found without network, secrets or destination."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster import AssetDep, AssetSpec, PartitionsDefinition

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.bindings import Binding
from dlt_orchestrate.dagster.partitions import expect_partitionable
from dlt_orchestrate.dagster.translator import RESOURCE, DltTranslator, ResourceTranslatorData
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import ConfigFieldMissingError, SourceNotEvaluatedError, UnknownResourceError


def asset_specs(
    binding: Binding,
    *,
    translator: DltTranslator | None = None,
    resources: Sequence[str] | None = None,
    partitions_def: PartitionsDefinition | None = None,
    hints: Mapping[str, Any] | None = None,
) -> dict[str, AssetSpec]:
    """The spec of each resource, by the resource's name.

    Args:
        resources: Names of the resources; without them the source is evaluated once, with placeholders for missing values.
        hints: Of the assets, by the resource's name; they go before those that the resources declare.

    Raises:
        UnknownResourceError: There are hints for a resource that is none.
        SourceNotEvaluatedError: The source cannot be evaluated with placeholders.
        DeclarationError: Nothing bounds a resource that shall be partitioned.
    """
    translator = translator or DltTranslator()
    declared = _declared(binding) if resources is None else dict.fromkeys(resources)
    if partitions_def is not None:
        expect_partitionable(binding.recipe, filter(None, declared.values()), partitions_def)
    given = {name: AssetHints.of(of_asset, resource=name) for name, of_asset in (hints or {}).items()}
    if unknown := given.keys() - declared.keys():
        raise UnknownResourceError(source=binding.recipe.name, asked=sorted(unknown), known=list(declared))
    recipe, table_name = binding.recipe, _table_names(binding)
    specs = {
        name: _tied_to(
            name,
            translator.get_asset_spec(
                ResourceTranslatorData(
                    resource_name=name,
                    source=recipe,
                    pipeline_name=binding.pipeline.pipeline_name,
                    destination_name=binding.pipeline.destination_name,
                    resource=resource,
                    table_name=table_name(resource.table_name if resource else name),
                    hints=_hints(resource, given.get(name)),
                )
            ),
        )
        for name, resource in declared.items()
    }
    specs = {name: _below_parent(spec, declared[name], specs) for name, spec in specs.items()}
    if partitions_def is None:
        return specs
    return {name: spec.replace_attributes(partitions_def=partitions_def) for name, spec in specs.items()}


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


def _below_parent(spec: AssetSpec, resource: Resource | None, specs: Mapping[str, AssetSpec]) -> AssetSpec:
    """The spec of a transformer, depending on the nearest resource that feeds it and is an asset, too."""
    parent = resource.upstream if resource else None
    while parent is not None and parent.name not in specs:
        parent = parent.upstream
    if parent is None or any(dep.asset_key == specs[parent.name].key for dep in spec.deps):
        return spec
    return spec.replace_attributes(deps=[*spec.deps, AssetDep(specs[parent.name].key)])


def _tied_to(resource: str, spec: AssetSpec) -> AssetSpec:
    """The spec with the resource's name in its metadata, should a translator have dropped it."""
    if spec.metadata.get(RESOURCE) == resource:
        return spec
    return spec.replace_attributes(metadata={**spec.metadata, RESOURCE: resource})
