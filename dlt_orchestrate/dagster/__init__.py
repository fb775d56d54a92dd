"""Sources as Dagster assets, and what launches them.

from dlt_orchestrate.dagster import ingest_assets

github_assets = ingest_assets(github_source, pipeline, group_name="github")
"""

from dlt_orchestrate.dagster.assets import ingest_assets
from dlt_orchestrate.dagster.automation import when_data_changes
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
from dlt_orchestrate.dagster.components import (
    DiscoveredIngestComponent,
    FilesystemComponent,
    IngestCollectionComponent,
    IngestComponent,
    RestApiComponent,
    SqlDatabaseComponent,
)
from dlt_orchestrate.dagster.config import LoadConfig
from dlt_orchestrate.dagster.dataset_resource import DatasetResource
from dlt_orchestrate.dagster.decorator import build_ingest_asset_specs, dlt_assets
from dlt_orchestrate.dagster.failure_sensor import IngestFailure, build_ingest_failure_sensor
from dlt_orchestrate.dagster.file_sensor import build_file_sensor
from dlt_orchestrate.dagster.http_sensor import build_http_sensor
from dlt_orchestrate.dagster.io_manager import DatasetIOManager
from dlt_orchestrate.dagster.lineage import build_source_spec
from dlt_orchestrate.dagster.resource import DltResource, LoadEvents
from dlt_orchestrate.dagster.schedules import build_ingest_schedule
from dlt_orchestrate.dagster.sql_watermark import build_sql_watermark_sensor
from dlt_orchestrate.dagster.translator import DltTranslator, ResourceTranslatorData
from dlt_orchestrate.dagster.watermark_sensor import build_table_watermark_sensor
from dlt_orchestrate.pipeline.dataset import Dataset, Relation

DagsterDltResource = DltResource
DagsterDltTranslator = DltTranslator
DltResourceTranslatorData = ResourceTranslatorData
build_dlt_asset_specs = build_ingest_asset_specs
"""The names of dagster-dlt, so that a project moves by changing its imports."""

__all__ = [
    "DagsterDltResource",
    "DagsterDltTranslator",
    "DataFreshness",
    "Dataset",
    "DatasetIOManager",
    "DatasetResource",
    "DiscoveredIngestComponent",
    "DltResource",
    "DltResourceTranslatorData",
    "DltTranslator",
    "FewRejects",
    "FilesystemComponent",
    "IngestCollectionComponent",
    "IngestComponent",
    "IngestFailure",
    "LoadConfig",
    "LoadEvents",
    "NotNull",
    "PrimaryKeyUnique",
    "Relation",
    "ResourceTranslatorData",
    "RestApiComponent",
    "RowCountAnomaly",
    "SchemaContract",
    "SqlDatabaseComponent",
    "build_data_freshness_checks",
    "build_dlt_asset_specs",
    "build_file_sensor",
    "build_http_sensor",
    "build_ingest_asset_specs",
    "build_ingest_failure_sensor",
    "build_ingest_schedule",
    "build_not_null_checks",
    "build_primary_key_checks",
    "build_reject_checks",
    "build_row_count_anomaly_checks",
    "build_schema_contract_checks",
    "build_source_spec",
    "build_sql_watermark_sensor",
    "build_table_watermark_sensor",
    "dlt_assets",
    "ingest_assets",
    "when_data_changes",
]
