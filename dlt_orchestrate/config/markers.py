"""The marker that stands where a value from the configuration belongs."""

from __future__ import annotations


class ConfigMarker:
    """Stands as the default of a parameter, or in its annotation, whose value comes from the configuration.

    Attributes:
        is_secret: Whether the value must come from a place that is kept secret.
    """

    __slots__ = ("is_secret",)

    def __init__(self, *, is_secret: bool) -> None:
        self.is_secret = is_secret

    def __repr__(self) -> str:
        return "dlt.secrets.value" if self.is_secret else "dlt.config.value"
