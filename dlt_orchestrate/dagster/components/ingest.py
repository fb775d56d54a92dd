"""The component for one load."""

from typing import Any, Self

from dagster import Component, ComponentLoadContext, Definitions, scaffold_with

from dlt_orchestrate.dagster.components.loads import build_load
from dlt_orchestrate.dagster.components.scaffolding import IngestScaffolder
from dlt_orchestrate.dagster.components.settings import LoadSettings


@scaffold_with(IngestScaffolder)
class IngestComponent(Component):
    """Ingests a source: every resource is an asset, every load one transaction."""

    def __init__(self, settings: LoadSettings) -> None:
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[LoadSettings]:
        return LoadSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:  # noqa: ARG003 - Dagster's signature
        return cls(attributes)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        return build_load(self.settings, context)
