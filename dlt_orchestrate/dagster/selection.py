"""Which assets a schedule or a sensor is about."""

from collections.abc import Sequence

from dagster import AssetKey, AssetsDefinition, AssetSelection

Assets = Sequence[AssetsDefinition] | Sequence[AssetKey] | Sequence[str] | AssetSelection | str
"""What `ingest_assets` returns, or keys, or any other way of selecting assets that Dagster knows."""


def select(assets: Assets) -> AssetSelection:
    """The assets as a selection."""
    return AssetSelection.from_coercible(assets)
