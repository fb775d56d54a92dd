"""Finding a value: which places are asked, for which keys, in which order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlt_orchestrate.config import coercion
from dlt_orchestrate.config.keys import Key, exact_key, keys_of
from dlt_orchestrate.config.providers import ConfigProvider, Environment, TomlFiles, Tree, config_folders
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ConfigValueCoercionError, ValueNotSecretError

# What `dlt.secrets[...] = ...` and `dlt.config[...] = ...` set: for this process, never written to a file.
SECRETS_IN_MEMORY = Tree("dlt.secrets", holds_secrets=True)
CONFIG_IN_MEMORY = Tree("dlt.config", holds_secrets=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value and where it was found; its repr shows no value, since that may be a secret.

    Attributes:
        provider: The name of the provider.
        key: As users write it there.
    """

    field: str
    value: Any
    provider: str
    key: str
    is_secret: bool

    def __repr__(self) -> str:
        return f"Resolved({self.field!r} from {self.provider}, {self.key})"


class Resolver:
    """Looks values up in providers.

    Two passes, the first with the pipeline's name before every key: all providers for one pass before the next pass;
    within a provider the most specific key first. The first hit wins.

    Attributes:
        pipeline_name: None where no pipeline is known; then there is only the second pass.
    """

    def __init__(
        self,
        providers: Sequence[ConfigProvider],
        pipeline_name: str | None = None,
        *,
        overrides: Sequence[ConfigProvider] = (),
    ) -> None:
        self.providers = tuple(providers)
        self.overrides = tuple(overrides)
        self.pipeline_name = pipeline_name
        self._groups = (*((override,) for override in self.overrides), self.providers)

    @classmethod
    def from_environment(
        cls,
        project_dir: Path | str | None = None,
        home_dir: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Resolver:
        """Look in the environment, then in what code set, then in `secrets.toml` and `config.toml`.

        Args:
            project_dir: Holds `.dlt/`; the current folder by default.
            home_dir: Holds the user's `.dlt/`; the user's home by default. The variable `DLT_DATA_DIR` goes before it.
            environ: Instead of the variables of the process.
        """
        variables = os.environ if environ is None else environ
        project, home = (None if folder is None else Path(folder) for folder in (project_dir, home_dir))
        folders = config_folders(project, home, variables)
        return cls(
            (
                Environment(variables),
                SECRETS_IN_MEMORY,
                CONFIG_IN_MEMORY,
                TomlFiles("secrets.toml", [folder / "secrets.toml" for folder in folders], holds_secrets=True),
                TomlFiles("config.toml", [folder / "config.toml" for folder in folders], holds_secrets=False),
            )
        )

    def for_pipeline(self, pipeline_name: str | None) -> Resolver:
        """The same places, asked on behalf of a pipeline."""
        return Resolver(self.providers, pipeline_name, overrides=self.overrides)

    def with_values(self, values: Mapping[str, Any], name: str = "dagster resource") -> Resolver:
        """The same places, with values in front that beat them all, whatever their keys.

        Args:
            values: By dotted key, such as `sources.github.access_token`, or as nested tables.
            name: What these values are, for messages.
        """
        first = Tree(name, values, holds_secrets=True)
        return Resolver(self.providers, self.pipeline_name, overrides=(first, *self.overrides))

    def lookup(
        self, field: str, sections: Sequence[str] = (), annotation: Any = Any, is_secret: bool = False
    ) -> Resolved | None:
        """Find the value of a field and convert it to its annotation; None if no provider has one.

        Args:
            field: Its name; dots for a part of a value, such as `credentials.password`.
            sections: From the outermost to the innermost, such as `("sources", module, function)`.
            annotation: The type to convert to; Any takes values as they stand.
            is_secret: Whether it must not stand where secrets do not belong.

        Raises:
            ConfigValueCoercionError: The value that was found is not of that type.
            ValueNotSecretError: A secret was found where it does not belong.
            ConfigFileError: A file is not valid TOML.
        """
        return self._search(field, self._passes(field, tuple(sections)), annotation, is_secret)

    def read(self, dotted: str, annotation: Any = Any, is_secret: bool = False) -> Resolved | None:
        """Find the value under exactly this key; errors as in `lookup`."""
        return self._search(dotted, ((exact_key(dotted),),), annotation, is_secret)

    def tried(self, field: str, sections: Sequence[str] = (), is_secret: bool = False) -> tuple[tuple[str, str], ...]:
        """List the (provider, key) pairs where a value of the field may stand, in the order of `lookup`.

        Left out are places without any value and, for a secret, places where it must not stand.
        """
        return self._tried(self._passes(field, tuple(sections)), is_secret)

    def tried_exactly(self, dotted: str, is_secret: bool = False) -> tuple[tuple[str, str], ...]:
        """List the (provider, key) pairs of `read`, as `tried` does for `lookup`."""
        return self._tried(((exact_key(dotted),),), is_secret)

    @property
    def files_read(self) -> tuple[str, ...]:
        """The configuration files that are there."""
        return tuple(str(path) for path, is_there in self._files() if is_there)

    @property
    def files_absent(self) -> tuple[str, ...]:
        """The configuration files that were looked for and are not there."""
        return tuple(str(path) for path, is_there in self._files() if not is_there)

    def _passes(self, field: str, sections: tuple[str, ...]) -> tuple[tuple[Key, ...], ...]:
        general = keys_of(field, sections)
        return (keys_of(field, sections, self.pipeline_name), general) if self.pipeline_name else (general,)

    def _search(self, field: str, passes: tuple[tuple[Key, ...], ...], annotation: Any, is_secret: bool) -> Resolved | None:
        # Plain nested loops: a run makes some dozens of these look-ups, each over some dozens of keys.
        wants_table = dict in coercion.members_of(annotation)
        for group in self._groups:
            filled = [provider for provider in group if not provider.is_empty]
            for keys in passes:
                for provider in filled:
                    for key in keys:
                        value = provider.get(key)
                        if value is None and wants_table and isinstance(provider, Environment):
                            value = provider.table(key)
                        if value is not None and _is_value(value, annotation, is_secret):
                            return _resolved(field, value, provider, key, annotation, is_secret)
        return None

    def _tried(self, passes: tuple[tuple[Key, ...], ...], is_secret: bool) -> tuple[tuple[str, str], ...]:
        return tuple(
            (provider.name, shown)
            for group in self._groups
            for keys in passes
            for provider in group
            if (provider.holds_secrets or not is_secret) and not provider.is_empty
            for key in keys
            if (shown := provider.shown(key))
        )

    def _files(self) -> list[tuple[Path, bool]]:
        return [item for provider in self.providers if isinstance(provider, TomlFiles) for item in provider.files.items()]


def _is_value(value: Any, annotation: Any, is_secret: bool) -> bool:
    """Whether what stands under the key of a field is its value.

    It is not if it is a section that bears the same name, or an empty text for a secret: what CI systems make of a
    secret that is not set.
    """
    if isinstance(value, Mapping):
        return coercion.takes_tables(annotation)
    return value != "" or not is_secret


def _resolved(field: str, value: Any, provider: ConfigProvider, key: Key, annotation: Any, is_secret: bool) -> Resolved:
    shown = provider.shown(key)
    if is_secret and not provider.holds_secrets:
        raise ValueNotSecretError(field=field, provider=provider.name, key=shown)
    try:
        return Resolved(field, coercion.coerce(value, annotation), provider.name, shown, is_secret)
    except coercion.NotOfThatType:
        pass
    raise ConfigValueCoercionError(field=field, provider=provider.name, key=shown, expected=coercion.type_name(annotation))
