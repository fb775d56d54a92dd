"""The component for a REST API that the file itself declares."""

from typing import TYPE_CHECKING, Any, Self

from dagster import Component, ComponentLoadContext, Definitions, scaffold_with

from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.loads import build_assets
from dlt_orchestrate.dagster.components.scaffolding import RestApiScaffolder, identifier
from dlt_orchestrate.dagster.components.templates import rendered, scope_of

if TYPE_CHECKING:
    from dlt_orchestrate.dagster.components.rest_api_settings import RestApiSettings


@scaffold_with(RestApiScaffolder)
class RestApiComponent(Component):
    """Ingests a REST API that is declared in YAML: every resource is an asset, every load one transaction."""

    def __init__(self, settings: "RestApiSettings", loaded_in: ComponentLoadContext | None = None) -> None:
        self.settings = settings
        self._loaded_in = loaded_in  # knows the template variables of the file, which the context of building does not

    @classmethod
    def get_model_cls(cls) -> "type[RestApiSettings]":
        from dlt_orchestrate.dagster.components.rest_api_settings import RestApiSettings

        return RestApiSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:
        return cls(attributes, context)

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        from dlt_orchestrate.sources.rest_api import rest_api_source
        from dlt_orchestrate.sources.rest_api.files import read_yaml

        context = self._loaded_in or context
        folder = context.path if context.path.is_dir() else context.path.parent
        scope = scope_of(context)
        told = self.settings.api
        told = read_yaml(folder / told) if isinstance(told, str) else told
        api = late(told, "api", lambda text, at: rendered(text, scope, at), mappings=False)
        source = rest_api_source(api, name=self.settings.name or identifier(folder.name))
        return build_assets(self.settings, source, context)
