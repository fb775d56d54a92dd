"""Configurations in YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.config.yaml_problems import yaml_problem
from dlt_orchestrate.errors import ConfigProblem, RestApiConfigError


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Leaves moments as the texts that APIs write, too, and takes no key twice: of two, one would be lost in silence."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path | str) -> Any:
    """The configuration in a file.

    Raises:
        RestApiConfigError: It cannot be read, or is no YAML.
    """
    try:
        return _Loader(Path(path).read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = getattr(error, "strerror", None) or yaml_problem(error)
        problem = f"is no YAML: {told}" if isinstance(error, yaml.YAMLError) else f"cannot be read: {told}"
        if isinstance(error, FileNotFoundError):
            beside = sorted(found.name for found in Path(path).parent.glob("*.y*ml"))
            problem = f"{problem}. {near}" if (near := likely([Path(path).name], beside)) else problem
        raise RestApiConfigError(owner=f"File {str(path)!r}", problems=[ConfigProblem((), problem)]) from None
