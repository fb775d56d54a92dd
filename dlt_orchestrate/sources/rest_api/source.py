"""The source and its resources: a configuration as it was written, checked at once, and built whenever it runs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.config.references import filled, with_placeholders
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Settings, Source
from dlt_orchestrate.sources.rest_api.build import resources_of
from dlt_orchestrate.sources.rest_api.checking import as_written, checked, with_references
from dlt_orchestrate.sources.rest_api.files import read_yaml
from dlt_orchestrate.sources.rest_api.models import RESTAPIConfig
from dlt_orchestrate.sources.rest_api.sharing import Sharing

if TYPE_CHECKING:
    from dlt_orchestrate.config.explain import Explanation

DEFAULT_NAME = "rest_api"

Config = Mapping[str, Any] | RESTAPIConfig | Path | str
"""A configuration, or the path of a YAML file that holds one."""


class RestApiSource(Source):
    """A source whose resources are declared; what its configuration only names is read when it is evaluated."""

    def __init__(self, config: Any, settings: Settings) -> None:
        super().__init__(rest_api_resources, settings, (), {})
        sections = ("sources", settings.section, settings.name)
        self._config = with_references(config, sections)
        checked(with_placeholders(self._config), owner=f"Source {settings.name!r}")

    def evaluate(self, resolver: Resolver, *, placeholders: bool = False) -> tuple[Resource, ...]:
        owner = f"Source {self.name!r}"
        config = filled(self._config, resolver, owner=owner, placeholders=placeholders)
        found = checked(config, owner=owner)
        ready = copy.copy(self)
        sharing = Sharing()
        ready._function = lambda: resources_of(found, section=self.section, sharing=sharing)
        made = Source.evaluate(ready, resolver, placeholders=placeholders)
        sharing.expect(made)
        return made

    def explained(self, resolver: Resolver) -> list[Explanation]:
        """What its configuration names, each value by its place in it."""
        from dlt_orchestrate.config.explain import explain_named

        return explain_named(self._config, resolver)


def rest_api_source(
    config: Config,
    name: str = DEFAULT_NAME,
    section: str | None = None,
    max_table_nesting: int | None = None,
    root_key: bool = False,
    schema_contract: Any = None,
    spec: Any = None,  # noqa: ARG001 - accepted as in dlt; the configuration says what it names
    parallelized: bool = False,
) -> Source:
    """The source that a configuration declares.

    Everything that is wrong in the configuration is told at once, here. Secrets are read, and requests are made, when the
    source runs.

    Args:
        config: A dictionary, a `RESTAPIConfig`, or the path of a YAML file.
        name: Of the source.
        section: Where its configuration stands; `rest_api` by default.
        max_table_nesting, root_key, schema_contract, parallelized: As of `source`.

    Raises:
        RestApiConfigError: The configuration cannot work.

    >>> source = rest_api_source({"client": {"base_url": "https://api.example"}, "resources": ["posts", "users"]})
    >>> list(source.resources)
    ['posts', 'users']
    """
    settings = Settings(
        name=name,
        section=section or DEFAULT_NAME,
        max_table_nesting=max_table_nesting,
        root_key=root_key,
        schema_contract=schema_contract,
        parallelized=parallelized,
    )
    return RestApiSource(_read(config), settings)


def rest_api_resources(config: Config) -> list[Resource]:
    """The resources that a configuration declares, to put beside others in a source of your own.

    Raises:
        RestApiConfigError: The configuration cannot work.
        ConfigFieldMissingError: A value that it names is missing.
    """
    owner = "rest_api_resources"
    named = with_references(_read(config), ("sources", DEFAULT_NAME))
    checked(with_placeholders(named), owner=owner)
    ready = checked(filled(named, Resolver.from_environment(), owner=owner), owner=owner)
    return resources_of(ready, section=DEFAULT_NAME, sharing=Sharing())


def _read(config: Config) -> Any:
    return read_yaml(config) if isinstance(config, Path | str) else as_written(config)
