"""Sources as Dagster assets, and what launches them.

from dlt_orchestrate.dagster import ingest_assets

github_assets = ingest_assets(github_source, pipeline, group_name="github")
"""

from dlt_orchestrate.dagster.assets import ingest_assets
from dlt_orchestrate.dagster.checks import (
    DataFreshness,
    FewRejects,
    NotNull,
    PrimaryKeyUnique,
    RowCountAnomaly,
    SchemaContract,
    build_data_freshness_checks,
    build_not_null_checks,
    build_primary_key_checks,
    build_reject_checks,
    build_row_count_anomaly_checks,
    build_schema_contract_checks,
)
from dlt_orchestrate.dagster.components import DiscoveredIngestComponent, IngestCollectionComponent, IngestComponent
from dlt_orchestrate.dagster.config import LoadConfig
from dlt_orchestrate.dagster.decorator import build_ingest_asset_specs, dlt_assets
from dlt_orchestrate.dagster.resource import DltResource, LoadEvents
from dlt_orchestrate.dagster.schedules import build_ingest_schedule
from dlt_orchestrate.dagster.sensors import build_http_sensor
from dlt_orchestrate.dagster.translator import DltTranslator, ResourceTranslatorData

DagsterDltResource = DltResource
DagsterDltTranslator = DltTranslator
DltResourceTranslatorData = ResourceTranslatorData
build_dlt_asset_specs = build_ingest_asset_specs
"""The names of dagster-dlt, so that a project moves by changing its imports."""

__all__ = [
    "DagsterDltResource",
    "DagsterDltTranslator",
    "DataFreshness",
    "DiscoveredIngestComponent",
    "DltResource",
    "DltResourceTranslatorData",
    "DltTranslator",
    "FewRejects",
    "IngestCollectionComponent",
    "IngestComponent",
    "LoadConfig",
    "LoadEvents",
    "NotNull",
    "PrimaryKeyUnique",
    "ResourceTranslatorData",
    "RowCountAnomaly",
    "SchemaContract",
    "build_data_freshness_checks",
    "build_dlt_asset_specs",
    "build_http_sensor",
    "build_ingest_asset_specs",
    "build_ingest_schedule",
    "build_not_null_checks",
    "build_primary_key_checks",
    "build_reject_checks",
    "build_row_count_anomaly_checks",
    "build_schema_contract_checks",
    "dlt_assets",
    "ingest_assets",
]
