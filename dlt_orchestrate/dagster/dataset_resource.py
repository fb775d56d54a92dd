"""The resource that reads a dataset."""

from dagster import ConfigurableResource

from dlt_orchestrate.pipeline.dataset import Dataset
from dlt_orchestrate.pipeline.pipeline import pipeline


class DatasetResource(ConfigurableResource):  # type: ignore[type-arg]
    """A dataset to read and to ask in SQL; with `EnvVar` its fields are read when the run starts.

    Attributes:
        destination: Name of a destination, such as `duckdb`.
        credentials: Its credentials, in the destination's own form: for DuckDB the path of the file.
        dataset_name: The dataset (schema).
    """

    destination: str
    dataset_name: str
    credentials: str | None = None

    def dataset(self) -> Dataset:
        """The tables: `dataset()["issues"].select("id").arrow()`, or `dataset().query("SELECT ...").df()`."""
        reading = pipeline(
            self.dataset_name, destination=self.destination, credentials=self.credentials, dataset_name=self.dataset_name
        )
        return reading.dataset()
