"""The component for several loads in one file."""

from typing import Any, Self

from dagster import Component, ComponentLoadContext, Definitions, scaffold_with

from dlt_orchestrate.dagster.components.loads import build_load
from dlt_orchestrate.dagster.components.scaffolding import CollectionScaffolder
from dlt_orchestrate.dagster.components.settings import CollectionSettings


@scaffold_with(CollectionScaffolder)
class IngestCollectionComponent(Component):
    """Ingests several sources, each as `IngestComponent` does."""

    def __init__(self, settings: CollectionSettings, loaded_in: ComponentLoadContext | None = None) -> None:
        self.settings = settings
        self._loaded_in = loaded_in  # knows the template variables of the file, which the context of building does not

    @classmethod
    def get_model_cls(cls) -> type[CollectionSettings]:
        return CollectionSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:
        return cls(attributes, context)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        loads, context = enumerate(self.settings.loads), self._loaded_in or context
        return Definitions.merge(*(build_load(load, context, place=f"loads.{at}.") for at, load in loads))
