"""`make demo`: loads a repository twice, and shows that the second run loads only what has changed since the first."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

import dlt_orchestrate as dlt
from definitions.assets import github_api
from definitions.github import github, github_source
from definitions.organization import organization, organization_source
from definitions.reports import contributors
from dlt_orchestrate.cli.text import print_table
from dlt_orchestrate.dagster import DatasetIOManager, ingest_assets
from dlt_orchestrate.testing.sample_api import SampleApi, ServedRequest

PROJECT = Path(__file__).resolve().parents[1]
LOGS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
GITHUB = "https://api.github.com"
CLONES = "github__traffic_clones"
"""The step that needs a token, and on GitHub the right to push."""
CONTRIBUTORS = contributors.key.to_user_string()
"""The table downstream."""
EDITED = {7: "Boil the kettle, but only half full", 42: "Sort the menu 菜单 by colour"}

Loads = Mapping[str, Mapping[str, Any]]
"""What the assets of one run tell of their loads: metadata by asset."""


@dataclass(frozen=True)
class Place:
    """Where a demo keeps what it loads; `make dev` opens the same."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "github.duckdb"

    @property
    def dagster_home(self) -> Path:
        return self.folder / "dagster_home"

    @property
    def pipeline(self) -> dlt.Pipeline:
        """The pipeline of the definitions, loading to here."""
        return self.loading_here(github)

    def loading_here(self, pipeline: dlt.Pipeline) -> dlt.Pipeline:
        """A pipeline of the definitions, loading to here."""
        destination = dlt.destinations.duckdb(self.database)
        return dlt.pipeline(pipeline.pipeline_name, destination=destination, dataset_name=pipeline.dataset_name)

    def prepare(self, *, anew: bool) -> None:
        """Make the folders; forget what was loaded before, if asked."""
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "definitions" / "dagster.yaml", self.dagster_home)
        if anew:
            self.database.unlink(missing_ok=True)
            Path(f"{self.database}.wal").unlink(missing_ok=True)


@click.command()
@click.option("--repo", metavar="OWNER/NAME", help="A repository of GitHub instead of the sample API; needs the network.")
@click.option("--fresh", is_flag=True, help="Forget what was loaded of the repository; sample data always begins anew.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=PROJECT / ".demo", help="To keep it in."
)
def main(repo: str | None, fresh: bool, folder: Path) -> None:
    """Load a repository twice, and show that the second run loads only what has changed since the first."""
    if repo is None:
        demonstrate_on_samples(Place(folder.absolute()))
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        demonstrate_on_github(Place(folder.absolute() / repo.replace("/", "--")), repo, fresh=fresh)
    else:
        raise click.UsageError(f"--repo {repo!r}: expected OWNER/NAME, such as dlt-hub/dlt.")


def demonstrate_on_samples(place: Place) -> None:
    """First load, three changes at the API, second load, and a comparison of the two sides."""
    place.prepare(anew=True)
    with SampleApi() as api:
        repo = api.repository.name
        configure(place, base_url=api.url, repo=repo, token=api.token)
        introduce(repo, f"a sample API that runs in this process, {api.url}: no network, no account", place)

        headline("1. The first run loads everything")
        tell(run(place), requests=api.requests)

        headline("2. At the API two issues are edited and one is opened")
        before = titles(place)
        for number, title in EDITED.items():
            api.touch(number, title=title)
        opened = api.add()[0]
        print_table(
            ["issue", "title in DuckDB", "title at the API now"],
            [
                *((f"#{number}", before[number], title) for number, title in EDITED.items()),
                (f"#{opened['number']}", "(not there)", opened["title"]),
            ],
        )

        headline("3. The second run loads what has changed")
        api.forget_requests()
        tell(run(place), requests=api.requests)

        headline("4. DuckDB and the API agree again")
        compare(place, before, {issue["number"]: issue["title"] for issue in api.repository.issues()})

        headline("5. An API that is declared in YAML, definitions/organization.yaml, and its second run")
        api.forget_requests()
        tell(run_declared(place), requests=api.requests)
        click.echo()
        api.forget_requests()
        tell(run_declared(place), requests=api.requests)
    say_what_next(place)


def demonstrate_on_github(place: Place, repo: str, *, fresh: bool) -> None:
    """A load of the real thing, and another one right after it."""
    place.prepare(anew=fresh)
    token = os.environ.get("GITHUB_TOKEN")
    configure(place, base_url=GITHUB, repo=repo, token=token)
    introduce(repo, "GitHub", place)
    if not token:
        click.echo("\nThere is no GITHUB_TOKEN: traffic/clones is left out, and GitHub answers 60 requests an hour only.")

    headline("1. The first run loads what has changed since the last demo, if there was one, or everything")
    tell(run(place, with_clones=bool(token)))
    headline("2. The second run loads what has changed in the meantime")
    tell(run(place, with_clones=bool(token)))
    say_what_next(place, repo)


# --- running -------------------------------------------------------------------------------------------------------


def configure(place: Place, *, base_url: str, repo: str, token: str | None) -> None:
    """Set what the source and Dagster ask the environment for."""
    os.environ |= {
        "DAGSTER_HOME": str(place.dagster_home),
        "SOURCES__GITHUB__BASE_URL": base_url,
        "SOURCES__GITHUB__REPO_NAME": repo,
        **({"SOURCES__GITHUB__ACCESS_TOKEN": token} if token else {}),
    }


def run(place: Place, *, with_clones: bool = True) -> Loads:
    """Materialize the assets, as Dagster's schedule does."""
    assets = ingest_assets(github_source, place.pipeline, group_name="github", upstream=github_api)
    chosen = [asset for asset in assets if with_clones or asset.op.name != CLONES]
    tables = DatasetIOManager(place.pipeline)
    return materialized(Definitions(assets=[*chosen, contributors], resources={"github_tables": tables}))


def run_declared(place: Place) -> Loads:
    """Materialize what `organization.yaml` declares."""
    assets = ingest_assets(organization_source, place.loading_here(organization), upstream=github_api)
    return materialized(Definitions(assets=assets))


def materialized(defs: Definitions) -> Loads:
    """Run all assets; ends the process if one fails."""
    job = defs.resolve_implicit_global_asset_job_def()
    with DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, run_config=LOGS, raise_on_error=False)
    failures = dict(failures_of(result))
    if os.environ["SOURCES__GITHUB__BASE_URL"] == GITHUB and failures.pop(CLONES, ""):
        click.echo("  traffic/clones failed: GitHub shows it only to those who may push to the repository.\n")
    if os.environ["SOURCES__GITHUB__BASE_URL"] == GITHUB and failures.pop(CONTRIBUTORS, ""):
        click.echo("  contributors failed: it is made of issues, and the repository has none.\n")
    for step, description in failures.items():
        click.echo(f"{step}: {description}", err=True)
    if failures:
        sys.exit(1)
    return {
        event.asset_key.to_user_string(): {key: entry.value for key, entry in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def failures_of(result: ExecuteInProcessResult) -> Iterator[tuple[str, str]]:
    """What each failed step says."""
    for event in result.all_events:
        if event.is_step_failure and event.step_key is not None:
            details = event.step_failure_data.user_failure_data
            yield event.step_key, (details.description if details else None) or event.message or "failed"


def titles(place: Place) -> dict[int, str]:
    """The titles of the issues in DuckDB, by number."""
    return dict(place.pipeline.dataset().issues.select("number", "title").fetchall())


# --- telling -------------------------------------------------------------------------------------------------------


def headline(text: str) -> None:
    click.echo(f"\n{text}\n")


def introduce(repo: str, origin: str, place: Place) -> None:
    click.echo(f"Issues, comments and clones of the repository {repo} become tables in DuckDB.\n")
    click.echo(f"  from     {origin}")
    click.echo(f"  to       {place.database}")
    click.echo("  through  definitions/github.py: each resource of the source is a Dagster asset. Materializing one")
    click.echo("           commits its rows, schema and cursor in one transaction.")


def tell(loads: Loads, requests: Sequence[ServedRequest] | None = None) -> None:
    """What a run loaded, table by table, and where each cursor stands."""
    rows: list[tuple[object, ...]] = []
    for load in loads.values():
        table = load["dagster/table_name"].rpartition(".")[2]
        cursor = load.get("cursor/updated_at/after", "none: all of it is asked for, and merged")
        counts = (load["rows_loaded"], load["rows_inserted"], load["rows_updated"], load["dagster/row_count"])
        rows.append(
            (table, *counts, cursor if table != CONTRIBUTORS else "none: made of issues, by definitions/reports.py")
        )
        for key, total in load.items():
            if key.startswith("nested/") and key.endswith("/row_count"):
                nested = key.split("/")[1]
                rows.append((f"  {nested}", load[f"nested/{nested}/rows_loaded"], "", "", total, ""))
    print_table(["table", "loaded", "new", "updated", "rows now", "cursor updated_at"], rows)
    if requests is not None:
        click.echo(f"\n  {len(requests)} requests:")
        for request in requests:
            asked = " ".join(f"{name}={value}" for name, value in request.query.items() if name in ("since", "page"))
            click.echo(f"    {request.method} {request.path} {asked}".rstrip())


def compare(place: Place, before: Mapping[int, str], at_api: Mapping[int, str]) -> None:
    """The edited titles, and whether every issue is there once with its present title; ends the process if not."""
    now = titles(place)
    print_table(
        ["issue", "title in DuckDB before", "title in DuckDB now"],
        [
            (f"#{number}", before.get(number, "(not there)"), title)
            for number, title in sorted(now.items())
            if before.get(number) != title
        ],
    )
    rows = place.pipeline.dataset().issues.count()
    click.echo(f"\n  {rows} rows in the table issues, {len(at_api)} issues at the API.")
    if now != at_api or rows != len(at_api):
        click.echo("The table is not what the API holds: this should not happen, please report it.", err=True)
        sys.exit(1)
    click.echo("  Every issue is there once, with the title that it has now.")


def say_what_next(place: Place, repo: str | None = None) -> None:
    of_repo = f" REPO={repo}" if repo else ""
    database = os.path.relpath(place.database)
    headline("What next")
    click.echo(f"  make dev{of_repo}  opens Dagster on http://127.0.0.1:3000 with these assets and runs; Ctrl-C ends it.")
    click.echo("  make demo REPO=dlt-hub/dlt  does the same on a repository of GitHub.\n")
    click.echo("  Look at the tables, cursors and loads:\n")
    for command in ("info", "show"):
        click.echo(f"    .venv/bin/dlt-orchestrate pipeline github {command} --destination {database}")


if __name__ == "__main__":
    main()
