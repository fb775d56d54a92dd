"""What an operator asks of an instance of Dagster, and does to it: GraphQL, as the pages of the web server speak it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

ENDED = ("SUCCESS", "FAILURE", "CANCELED")

_LAUNCH = """
mutation($of: ExecutionParams!) { launchRun(executionParams: $of) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""
_AGAIN = """
mutation($of: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $of) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""
_TERMINATE = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
_BACKFILL = """
mutation($of: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $of) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
} }
"""
_BACKFILL_STATUS = (
    "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
)
_POOL = """
mutation($pool: String!, $limit: Int!) { setConcurrencyLimit(concurrencyKey: $pool, limit: $limit) }
"""
_RUN = """
query($run: ID!) { runOrError(runId: $run) { ... on Run {
  runId status stats { ... on RunStatsSnapshot { stepsSucceeded stepsFailed } }
  stepStats { stepKey status } stepKeysToExecute
} } }
"""
_RUNS = """
{ runsOrError(limit: 200) { ... on Runs { results {
  runId status assetSelection { path } tags { key value } runConfigYaml
} } } }
"""
_MATERIALIZATIONS = """
query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset { assetMaterializations(limit: 500) {
  partition runId metadataEntries {
    label ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue }
  }
} } } }
"""


class Operator(ABC):
    """Somebody who asks and launches.

    Attributes:
        location: The name of the code location.
    """

    location: str

    @abstractmethod
    def ask(self, query: str, **variables: Any) -> Any:
        """The first answer of a query."""

    def runs(self, tags: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The runs with these tags, newest first."""
        found = (self.ask(_RUNS) or {}).get("results", [])
        wanted = (tags or {}).items()
        return [run for run in found if wanted <= {tag["key"]: tag["value"] for tag in run["tags"]}.items()]

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(_RUN, run=run_id)
        return found

    def materializations(self, *path: str) -> list[dict[str, Any]]:
        """Partition and metadata of each, newest first; those that are whole numbers or yes and no."""
        found = self.ask(_MATERIALIZATIONS, path=path)["assetMaterializations"]
        return [
            {"partition": one["partition"], "run": one["runId"]}
            | {
                entry["label"]: entry.get("intValue", entry.get("boolValue"))
                for entry in one["metadataEntries"]
                if "intValue" in entry or "boolValue" in entry
            }
            for one in found
        ]

    def launch(self, *assets: str, tags: Mapping[str, str] | None = None) -> str:
        """Launch a run of assets as the launchpad does; its id."""
        selector = {
            "repositoryLocationName": self.location,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": asset.split("/")} for asset in assets],
        }
        given = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        launched = self.ask(
            _LAUNCH, of={"selector": selector, "mode": "default", "executionMetadata": {"tags": given}, "runConfigData": {}}
        )
        return _launched(launched)

    def launch_from_failure(self, run_id: str) -> str:
        """Launch the re-execution of a run from its failure; its id."""
        return _launched(self.ask(_AGAIN, of={"parentRunId": run_id, "strategy": "FROM_FAILURE"}))

    def terminate(self, run_id: str) -> None:
        assert self.ask(_TERMINATE, run=run_id)["__typename"] == "TerminateRunSuccess"

    def limit_pool(self, pool: str, limit: int) -> None:
        assert self.ask(_POOL, pool=pool, limit=limit) is True

    def launch_backfill(self, assets: Collection[str], partitions: Sequence[str]) -> str:
        """Launch a backfill as the page of an asset does; its id."""
        of = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": list(partitions)}
        launched = self.ask(_BACKFILL, of=of)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        identity: str = launched["backfillId"]
        return identity

    def backfill_status(self, identity: str) -> str:
        found: str = self.ask(_BACKFILL_STATUS, id=identity)["status"]
        return found


def _launched(answer: Mapping[str, Any]) -> str:
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id: str = answer["run"]["runId"]
    return run_id
