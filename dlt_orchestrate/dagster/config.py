"""What a run may be told in the launchpad, or by its tags: to begin anew, to load a part, to load little."""

from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Literal, cast

from dagster import Config
from pydantic import Field

from dlt_orchestrate.dagster.attempts import StepContext
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.checkpoints import Checkpoints, to_checkpoints
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.refresh import Refresh
from dlt_orchestrate.state.commits import Window

TAGS = "dlt_orchestrate/"
"""Begins the tags that mean the same as the fields below: backfills carry tags, and no config."""


class LoadConfig(Config):
    """What one run does otherwise than always.

    Attributes:
        refresh: Take away what earlier runs have loaded, in the same commit as the new rows.
        since, until: Load a part of history again; the cursor is neither read nor moved.
        limit: Load a sample; the cursor does not move, unless records come from old to new.
        checkpoint_pages, checkpoint_minutes: Commit a long extraction after so many pages or minutes, so that a run that
            fails goes on from there.
    """

    refresh: Literal["none", "drop_data", "drop_resources", "drop_sources"] = Field(
        default="none",
        description="Load as if for the first time: drop_data empties the tables, drop_resources drops them, drop_sources "
        "drops all tables of the source.",
    )
    since: str | None = Field(
        default=None,
        description="Load again what lies at or after this value of the cursor, such as 2026-01-01. The cursor stays.",
    )
    until: str | None = Field(
        default=None, description="With since: only what lies before this value; the end of today (UTC) without it."
    )
    limit: int | None = Field(
        default=None,
        description="Stop each resource after so many yields (usually pages). The cursor stays, unless records come from "
        "old to new.",
    )
    checkpoint_pages: int | None = Field(
        default=None,
        description="Commit what was read after every so many pages, and go on: a run that fails is resumed from there.",
    )
    checkpoint_minutes: float | None = Field(
        default=None,
        description="Commit what was read after every so many minutes, and go on: a run that fails is resumed from there. "
        "With checkpoint_pages, whichever comes first.",
    )


@dataclass(frozen=True)
class Wishes:
    """What config and tags of a run ask for."""

    refresh: Refresh | None = None
    window: Window | None = None
    limit: int | None = None
    checkpoints: Checkpoints | None = None

    def limited(self, source: Source) -> Source:
        """The source, a clone that stops early if that is wished."""
        return source if self.limit is None else source.clone().add_limit(self.limit)


def wishes_of(context: StepContext, config: LoadConfig | None = None) -> Wishes:
    """Read what the run is told: by its config, and where that says nothing, by its tags.

    Raises:
        DeclarationError: A value is unknown, or two of them do not go together.
    """
    told: dict[str, str | float] = {
        name: tag for name in LoadConfig.model_fields if (tag := context.run.tags.get(f"{TAGS}{name}")) is not None
    }
    told |= {name: value for name, value in (config or LoadConfig()).model_dump().items() if value not in (None, "none")}
    since, until = told.get("since"), told.get("until")
    refresh = told.get("refresh", "none")
    if context.has_partition_key or context.has_partition_key_range:
        _expect_only_partition(context, since=since, until=until, refresh=None if refresh == "none" else refresh)
    return Wishes(
        # An unknown mode is named by the pipeline, together with the known ones.
        refresh=None if refresh == "none" else cast("Refresh", refresh),
        window=_window(since, until),
        limit=_limit(told.get("limit")),
        checkpoints=_checkpoints(told.get("checkpoint_pages"), told.get("checkpoint_minutes")),
    )


def _window(since: object, until: object) -> Window | None:
    if since is None and until is None:
        return None
    if since is None:
        raise DeclarationError(f"until={until!r} was asked for without since: say where the part begins, too.")
    if until is not None:
        return Window(str(since), str(until))
    try:
        datetime.fromisoformat(str(since))
    except ValueError:
        raise DeclarationError(
            f"since={since!r} is no moment, so there is no present to end at: say where the part ends with until."
        ) from None
    tomorrow = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
    return Window(str(since), tomorrow.isoformat())


def _limit(limit: str | float | None) -> int | None:
    if limit is None:
        return None
    try:
        found = int(limit)
    except ValueError:
        found = 0
    if found < 1:
        raise DeclarationError(f"limit={limit!r} is no number of yields: pass 1 or more.")
    return found


def _checkpoints(pages: str | float | None, minutes: str | float | None) -> Checkpoints | None:
    if pages is None and minutes is None:
        return None
    given = {"pages": pages, "minutes": minutes}
    with suppress(ValueError):  # told below, with what was given
        given = {"pages": None if pages is None else int(pages), "minutes": None if minutes is None else float(minutes)}
    return to_checkpoints(given, "The run's config or tags")


def _expect_only_partition(context: StepContext, **told: object) -> None:
    """A partition says itself what to load, and loading it again replaces it."""
    for name, value in told.items():
        if value is not None:
            raise DeclarationError(
                f"{name}={value!r} does not go with partitions: partition {', '.join(context.partition_keys[:3])} says "
                "what to load, and loading it again replaces what is there of it. Leave it out."
            )
