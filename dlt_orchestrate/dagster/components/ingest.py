"""The component for one load."""

from typing import Any, Self

from dagster import Component, ComponentLoadContext, Definitions, scaffold_with

from dlt_orchestrate.dagster.components.loads import build_load
from dlt_orchestrate.dagster.components.scaffolding import IngestScaffolder
from dlt_orchestrate.dagster.components.settings import LoadSettings


@scaffold_with(IngestScaffolder)
class IngestComponent(Component):
    """Ingests a source: every resource is an asset, every load one transaction."""

    def __init__(self, settings: LoadSettings, loaded_in: ComponentLoadContext | None = None) -> None:
        self.settings = settings
        self._loaded_in = loaded_in  # knows the template variables of the file, which the context of building does not

    @classmethod
    def get_model_cls(cls) -> type[LoadSettings]:
        return LoadSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:
        return cls(attributes, context)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        return build_load(self.settings, self._loaded_in or context)
