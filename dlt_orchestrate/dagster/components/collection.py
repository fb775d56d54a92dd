"""The component for several loads in one file."""

from typing import Any, Self

from dagster import Component, ComponentLoadContext, Definitions, scaffold_with

from dlt_orchestrate.dagster.components.loads import build_load
from dlt_orchestrate.dagster.components.scaffolding import CollectionScaffolder
from dlt_orchestrate.dagster.components.settings import CollectionSettings


@scaffold_with(CollectionScaffolder)
class IngestCollectionComponent(Component):
    """Ingests several sources, each as `IngestComponent` does."""

    def __init__(self, settings: CollectionSettings) -> None:
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[CollectionSettings]:
        return CollectionSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:  # noqa: ARG003 - Dagster's signature
        return cls(attributes)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        loads = enumerate(self.settings.loads)
        return Definitions.merge(*(build_load(load, context, place=f"loads.{at}.") for at, load in loads))
