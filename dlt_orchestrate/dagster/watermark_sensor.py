"""The watermark sensor: assets are ingested when a query answers something else than before."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from typing import Any

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dagster.selection import Assets
from dlt_orchestrate.dagster.ticks import Cursor, Decision, build_sensor
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import (
    DatabaseReadError,
    DeclarationError,
    DestinationLockedError,
    DestinationUnavailableError,
)
from dlt_orchestrate.pipeline.pipeline import Pipeline

_OUTAGES = frozenset({"OperationalError", "InterfaceError"})
"""Names that drivers give to errors of the connection, as PEP 249 lists them."""


@dataclass(frozen=True)
class WatermarkCursor(Cursor):
    """What the query answered last, as text; None before the first answer."""

    value: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.value, str | None):
            raise ValueError("not the text of a value")


def build_table_watermark_sensor(
    query: str,
    assets: Assets,
    *,
    name: str,
    pipeline: Pipeline | None = None,
    connect: Callable[[], Any] | None = None,
    timeout_seconds: float = 30,
    minimum_interval_seconds: int = 60,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> SensorDefinition:
    """A sensor that asks a database for one value, such as `max(updated_at)`, and materializes `assets` when it changes.

    A database that cannot be reached, or whose answer takes too long, skips the tick with the reason and keeps the cursor.
    A query that fails otherwise fails the tick. While a run for the same assets is under way, nothing is asked.

    Args:
        query: Gives one row of one column; null, or no row, is no value yet.
        pipeline: Where to ask: the dataset that it loads into, by unqualified names of tables.
        connect: Where to ask otherwise: makes a connection of any DB-API driver, as `lambda: psycopg.connect(...)`. Called
            at each tick, so that it may read secrets; the connection is closed after the query.
        timeout_seconds: How long a tick waits for the answer; Dagster gives a tick 60 in all.

    Raises:
        DeclarationError: Neither or both of `pipeline` and `connect` are given.
    """
    if (pipeline is None) == (connect is None):
        raise DeclarationError(f"Watermark sensor {name!r}: give either pipeline=... or connect=..., to tell where to ask.")
    ask = _Asking(query, pipeline, connect)

    def decide(_: SensorEvaluationContext, cursor: WatermarkCursor) -> Decision:
        try:
            value = ask.within(timeout_seconds)
        except TimeoutError as error:
            return SkipReason(f"{error} The next tick tries again.")
        except Exception as error:
            if not _is_outage(error):
                raise
            return SkipReason(f"{redact(f'{type(error).__name__}: {error}'.strip())} The next tick tries again.")
        if value is None:
            return SkipReason("The query has no value yet.")
        if value == cursor.value:
            return SkipReason(f"The value is still {value}.")
        moved = replace(cursor, value=value, counter=cursor.counter + 1)
        return SensorResult(run_requests=[RunRequest(run_key=moved.run_key(value))], cursor=moved.to_json())

    return build_sensor(
        name,
        assets,
        decide,
        cursor=WatermarkCursor,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or "Launches a run when the query answers another value.",
    )


class _Asking:
    """Asks in a thread of its own, so that a tick ends in time whatever the database does; one thread at a time."""

    def __init__(self, query: str, pipeline: Pipeline | None, connect: Callable[[], Any] | None) -> None:
        self._query = query
        self._pipeline = pipeline
        self._connect = connect
        self._thread: threading.Thread | None = None

    def within(self, seconds: float) -> str | None:
        """The value as text.

        Raises:
            TimeoutError: It did not come in time, or an earlier question is still waiting.
        """
        if self._thread is not None and self._thread.is_alive():
            raise TimeoutError("The query of an earlier tick is still waiting for its answer.")
        answers: list[str | BaseException | None] = []

        def work() -> None:
            try:
                answers.append(_text(self._value()))
            except BaseException as error:  # noqa: BLE001 - raised again by the tick
                answers.append(error)

        self._thread = threading.Thread(target=work, name="watermark", daemon=True)
        self._thread.start()
        self._thread.join(seconds)
        if not answers:
            raise TimeoutError(f"The query was not answered within {seconds:g} s.")
        if isinstance(answers[0], BaseException):
            raise answers[0]
        return answers[0]

    def _value(self) -> Any:
        if self._pipeline is not None:
            return self._pipeline.dataset().query(self._query).fetchscalar()
        assert self._connect is not None
        connection = self._connect()
        try:
            cursor = connection.cursor()
            cursor.execute(self._query)
            row = cursor.fetchone()
        finally:
            connection.close()
        return row[0] if row else None


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case date() | time():
            return value.isoformat()
        case bytes() | memoryview():
            return bytes(value).hex()
        case _:
            return str(value)


def _is_outage(error: Exception) -> bool:
    """Whether waiting may help, and nothing of the sensor is to be mended."""
    if isinstance(error, DestinationLockedError | DestinationUnavailableError):
        return True
    if isinstance(error, DatabaseReadError):
        return error.is_outage
    return any(kind.__name__ in _OUTAGES for kind in type(error).__mro__)
