"""The component for sources whose resources are found out by asking, as the tables of a database are."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dagster import ComponentLoadContext, Definitions, StateBackedComponent, scaffold_with
from dagster.components import DefsStateConfig, DefsStateConfigArgs
from pydantic import Field

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.loads import build_load
from dlt_orchestrate.dagster.components.scaffolding import DiscoveredScaffolder
from dlt_orchestrate.dagster.components.settings import LoadSettings
from dlt_orchestrate.dagster.components.sources import imported
from dlt_orchestrate.errors import ComponentError

log = logging.getLogger("dlt_orchestrate.dagster.components")

STATE_VERSION = 1
REFRESH = "dg utils refresh-defs-state"
_SAID: set[tuple[str, str, str]] = set()
"""What this process has warned of: of which project, of which state, and what."""


class DiscoveredSettings(LoadSettings):
    """A load whose resources are kept as state, which is written when it is refreshed."""

    discover: str = Field(
        description="Import path of the function that asks which resources there are. It gives their names, or "
        "mappings with 'name' and whatever the source needs to know of them."
    )
    discover_args: dict[str, Any] = Field(
        default_factory=dict,
        description="Its arguments; secrets as {secret: NAME}, which are read when state is refreshed.",
    )
    argument: str = Field(default="discovered", description="The argument of the source that takes what was discovered.")
    defs_state: DefsStateConfigArgs = Field(
        default_factory=lambda: DefsStateConfigArgs(
            management_type=DefsStateConfigArgs.local_filesystem().management_type, refresh_if_dev=False
        ),
        description="Where Dagster keeps the state.",
    )


@scaffold_with(DiscoveredScaffolder)
class DiscoveredIngestComponent(StateBackedComponent):
    """Ingests what a function has discovered, such as all tables of a database; loading definitions asks nobody.

    `dg utils refresh-defs-state` calls the function. Until then there are no assets.
    """

    def __init__(self, settings: DiscoveredSettings, loaded_in: ComponentLoadContext) -> None:
        self.settings = settings
        self._loaded_in = loaded_in

    @classmethod
    def get_model_cls(cls) -> type[DiscoveredSettings]:
        return DiscoveredSettings

    @classmethod
    def load(cls, attributes: Any, context: ComponentLoadContext) -> Self:
        component = cls(attributes, context)
        context.component_tree.mark_component_defs_state_key(
            defs_state_key=component.defs_state_config.key, loc=context.component_loc
        )
        return component

    @property
    def source_name(self) -> str | None:
        """The name of the source in place of its own."""
        return None

    @property
    def defs_state_config(self) -> DefsStateConfig:
        default = f"{type(self).__name__}[{self.settings.name or self.settings.pipeline or self.settings.source}]"
        return DefsStateConfig.from_args(self.settings.defs_state, default_key=default)

    @property
    def told_name(self) -> str:
        """The component as messages name it, with its file."""
        path = self._loaded_in.path
        file = next((path / name for name in ("defs.yaml", "component.yaml") if (path / name).is_file()), path)
        root = self._loaded_in.project_root
        return f"{self.defs_state_config.key} in {file.relative_to(root) if file.is_relative_to(root) else file}"

    def write_state_to_path(self, state_path: Path) -> None:
        """Ask what there is, and keep it.

        Raises:
            ConfigFieldMissingError: An argument names a value that is missing.
            ComponentError: The function gives something else than names or mappings with names.
        """
        arguments = filled(
            late(self.settings.discover_args, "discover_args"),
            Resolver.from_environment(),
            owner=self.told_name,
        )
        try:
            found = imported(self.settings.discover, self._loaded_in, "discover")(**arguments)
        except Exception as error:
            error.add_note(f"Component {self.told_name} has discovered nothing.")
            raise
        resources = [_as_mapping(one) for one in found] if isinstance(found, Iterable) else []
        state_path.parent.mkdir(parents=True, exist_ok=True)
        state_path.write_text(json.dumps({"version": STATE_VERSION, "resources": resources}, indent=1), encoding="utf-8")

    def build_defs_from_state(
        self,
        context: ComponentLoadContext,  # noqa: ARG002 - knows less than the one that it was loaded in
        state_path: Path | None,
    ) -> Definitions:
        if state_path is None or not state_path.exists():
            self._warn("nothing has been discovered yet, so there are no assets. Run `%s`.", REFRESH)
            return Definitions()
        state = json.loads(state_path.read_text(encoding="utf-8"))
        if state.get("version") != STATE_VERSION:
            raise ComponentError(
                place="defs_state",
                problem=f"the state of {self.defs_state_config.key} has version {state.get('version')!r}, and "
                f"{STATE_VERSION} is read. Run `{REFRESH}`",
            )
        if not state["resources"]:
            self._warn("the last refresh has discovered nothing, so there are no assets.")
            return Definitions()
        self.expect_fitting(state["resources"])
        return build_load(
            self.settings,
            self._loaded_in,
            arguments={self.settings.argument: state["resources"]},
            source_name=self.source_name,
        )

    def expect_fitting(self, resources: Sequence[Mapping[str, Any]]) -> None:
        """Refuse settings that what was discovered shows to be wrong; here none are.

        Raises:
            ComponentError: There are some.
        """

    def _warn(self, told: str, *parts: str) -> None:
        """Warn once: commands of Dagster load the definitions of a project more than once in one process."""
        said = (str(self._loaded_in.project_root), self.defs_state_config.key, told)
        if said not in _SAID:
            _SAID.add(said)
            log.warning(f"%s: {told}", self.defs_state_config.key, *parts)


def _as_mapping(found: Any) -> dict[str, Any]:
    """A discovered resource as state holds it."""
    if isinstance(found, str):
        return {"name": found}
    if isinstance(found, Mapping) and isinstance(found.get("name"), str):
        return dict(found)
    raise ComponentError(
        place="discover",
        problem=f"the function gave a {type(found).__name__}, and should give names, or mappings that have a 'name'",
    )
