"""What DuckDB may use is said in code or in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import ConfigValueCoercionError, InvalidSettingError

SETTINGS = "SELECT current_setting('threads'), current_setting('memory_limit')"


def test_the_configuration_says_what_duckdb_may_use(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".dlt").mkdir()
    (project / ".dlt" / "config.toml").write_text('[destination.duckdb]\nthreads = 3\nmemory_limit = "300MiB"\n')
    monkeypatch.setenv("SHOP__DESTINATION__DUCKDB__MEMORY_LIMIT", "400MiB")
    shop = dlt.pipeline("shop", destination="duckdb")

    with duckdb.connect("shop.duckdb") as mine:  # shares the open database, and so its settings
        shop.run([{"id": 1}], table_name="orders")
        seen = mine.execute("SELECT current_setting('memory_limit')").fetchall()
    with shop.destination._file.turn_to_write() as connection:
        assert connection.execute(SETTINGS).fetchall() == [(3, "400.0 MiB")]
    assert seen == [("400.0 MiB",)]


def test_the_configuration_says_how_long_a_file_is_waited_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__LOCK_TIMEOUT_SECONDS", "0")

    assert dlt.pipeline("shop", destination="duckdb").destination._file.lock_timeout_seconds == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("threads", 0), ("memory_limit", "much"), ("memory_limit", "1GB'; DROP TABLE x"), ("lock_timeout_seconds", -1)],
)
def test_a_setting_that_is_none_is_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(InvalidSettingError, match=f"Destination 'duckdb': {setting} cannot be") as caught:
        dlt.destinations.duckdb("shop.duckdb", **{setting: value})

    assert (caught.value.setting, caught.value.value) == (setting, value)


def test_a_configured_value_of_another_type_is_refused_by_its_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__THREADS", "many")

    with pytest.raises(ConfigValueCoercionError, match="DESTINATION__DUCKDB__THREADS"):
        dlt.pipeline("shop", destination="duckdb").run([{"id": 1}], table_name="orders")
