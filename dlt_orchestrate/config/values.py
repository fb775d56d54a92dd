"""`dlt.secrets` and `dlt.config`: markers for arguments to be filled in, and access to single values."""

from __future__ import annotations

from typing import Annotated, Any, Final

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.providers import Tree
from dlt_orchestrate.config.redaction import learn
from dlt_orchestrate.config.resolver import CONFIG_IN_MEMORY, SECRETS_IN_MEMORY, Resolver
from dlt_orchestrate.errors import ConfigFieldMissingError


class Values:
    """Single values by dotted key, and `.value`, the marker for arguments.

    Keys are taken as they are written: no section is added or left out. Setting a value changes the look-ups of this
    process and no file; environment variables still go before it.
    """

    def __init__(self, memory: Tree, *, is_secret: bool) -> None:
        self.value: Final[Any] = ConfigMarker(is_secret=is_secret)
        self._memory = memory
        self._is_secret = is_secret

    def __getitem__(self, dotted: str) -> Any:
        """Read a value.

        Raises:
            ConfigFieldMissingError: No provider has it.
        """
        resolver = Resolver.from_environment()
        found = self._read(resolver, dotted, Any)
        if found is None:
            raise ConfigFieldMissingError(
                owner=_public_name(self._is_secret),
                fields=[dotted],
                tried={dotted: resolver.tried_exactly(dotted, self._is_secret)},
                files_read=resolver.files_read,
                files_absent=resolver.files_absent,
            )
        return found

    def get(self, dotted: str, expected_type: Any = Any) -> Any:
        """Read a value, converted to a type; None if no provider has it."""
        return self._read(Resolver.from_environment(), dotted, expected_type)

    def __setitem__(self, dotted: str, value: Any) -> None:
        if self._is_secret:
            learn(value)
        self._memory.put(dotted, value)

    def __delitem__(self, dotted: str) -> None:
        """Forget a value that was set here; KeyError if none was."""
        self._memory.remove(dotted)

    def __contains__(self, dotted: str) -> bool:
        return self.get(dotted) is not None

    def __repr__(self) -> str:
        return _public_name(self._is_secret)

    def _read(self, resolver: Resolver, dotted: str, annotation: Any) -> Any:
        found = resolver.read(dotted, annotation, self._is_secret)
        if found is None:
            return None
        if self._is_secret:
            learn(found.value)
        return found.value


def _public_name(is_secret: bool) -> str:
    return "dlt.secrets" if is_secret else "dlt.config"


secrets: Final = Values(SECRETS_IN_MEMORY, is_secret=True)
config: Final = Values(CONFIG_IN_MEMORY, is_secret=False)

# Annotations that mark a parameter as a secret without a marker as its default.
TSecretValue = Annotated[Any, secrets.value]
TSecretStrValue = Annotated[str, secrets.value]
