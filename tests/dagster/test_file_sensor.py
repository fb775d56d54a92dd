"""The file sensor in real folders; the age of files is set, not waited for."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import BUCKET, running_s3

from dlt_orchestrate.dagster.file_sensor import FILES, FileCursor, Mark, build_file_sensor
from dlt_orchestrate.errors import DeclarationError

DROPS = dg.DynamicPartitionsDefinition(name="drops")
LONG_AGO = 1_700_000_000


@dg.asset
def orders() -> None:
    """Something to materialize."""


@dg.asset(partitions_def=DROPS)
def drops() -> None:
    """A partition for each file."""


class Folder:
    """A folder that files are dropped into, and a sensor that keeps its cursor from tick to tick."""

    def __init__(self, path: Path, instance: dg.DagsterInstance) -> None:
        self.path, self.instance, self.cursor = path, instance, None
        self.reason: str | None = None

    def drop(self, name: str, content: str = "x", at: int = LONG_AGO) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (at, at))

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> list[dg.RunRequest]:
        """The runs that a tick asks for; its cursor is that of the tick before, unless given."""
        defs = dg.Definitions(assets=[orders, drops], sensors=[sensor])
        kept = cursor or self.cursor
        ref = self.instance.get_ref() if self.instance.is_persistent else None
        with dg.build_sensor_context(self.instance, cursor=kept, definitions=defs, instance_ref=ref) as context:
            result = sensor.evaluate_tick(context)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor, self.reason = result.cursor or kept, result.skip_message
        return list(result.run_requests or [])

    def files(self, sensor: dg.SensorDefinition) -> list[str]:
        """The files that a tick launches a run for."""
        return [request.tags[FILES] for request in self.tick(sensor)]


@pytest.fixture(scope="module")
def persistent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps dynamic partitions, which ticks that ask for them need."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


@pytest.fixture
def folder(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Folder]:
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "in", instance)


def test_a_new_file_launches_one_run_once_two_ticks_have_met_it_unchanged(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", file_glob="*.csv")
    folder.drop("a.csv")
    folder.drop("notes.txt")

    assert folder.files(sensor) == []
    told = "1 new file seen for the first time, taken at the next tick if unchanged"
    assert folder.reason == f"{told}; 1 matches '*.csv' in {folder.path}."
    assert folder.files(sensor) == ["a.csv"]
    assert folder.files(sensor) == []
    assert folder.reason == f"No file is new; 1 matches '*.csv' in {folder.path}."


def test_a_file_that_grows_between_two_ticks_waits_although_its_time_is_old(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files")
    seen = []

    for content in ("1", "12", "123", "123", "123"):
        folder.drop("a.csv", content)
        seen.append(folder.files(sensor))

    assert seen == [[], [], [], ["a.csv"], []]


def test_a_file_that_was_just_written_to_waits(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=3_600)
    (folder.path / "a.csv").write_text("x")
    (folder.path / "b.csv").write_text("x")
    folder.drop("old.csv")

    assert folder.files(sensor) == []
    first, waiting = "1 new file seen for the first time", "2 new files may still be written to"
    assert folder.reason == f"{first}, taken at the next tick if unchanged, {waiting}; 3 match '*' in {folder.path}."
    assert [folder.files(sensor) for _ in range(3)] == [["old.csv"], [], []]


def test_a_file_from_the_future_is_taken_when_it_has_been_still_for_long_enough(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=60)
    folder.drop("a.csv", at=4_000_000_000)
    assert folder.files(sensor) == []

    document = json.loads(folder.cursor or "")
    mtime, size, met_at = document["waiting"]["a.csv"]
    document["waiting"]["a.csv"] = [mtime, size, met_at - 61]
    folder.cursor = json.dumps(document)

    assert folder.files(sensor) == ["a.csv"]


def test_a_file_that_changes_and_changes_back_launches_each_time(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=0)
    keys = []

    for content, at in (("A", LONG_AGO), ("BB", LONG_AGO + 1), ("A", LONG_AGO)):
        folder.drop("a.csv", content, at)
        keys += [request.run_key for request in folder.tick(sensor)]

    assert len(keys) == len(set(keys)) == 3


def test_the_same_tick_again_asks_for_the_same_run(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=0)
    folder.drop("a.csv")
    folder.tick(sensor)
    before = folder.cursor
    folder.drop("b.csv")

    (first,), (again,) = folder.tick(sensor, before), folder.tick(sensor, before)

    assert first.run_key == again.run_key


def test_each_file_becomes_a_partition_with_its_path_as_key(folder: Folder, persistent: dg.DagsterInstance) -> None:
    folder.instance = persistent
    sensor = build_file_sensor(
        folder.path, [drops], name="files", file_glob="**/*.csv", min_age_seconds=0, partitions_def=DROPS
    )
    folder.drop("b.csv")
    folder.drop("2026/01/a.csv", at=LONG_AGO - 1)
    folder.drop(".hidden/c.csv")
    folder.drop("a...csv")

    requests = folder.tick(sensor)
    folder.drop("b.csv", "changed", LONG_AGO + 1)
    (changed,) = folder.tick(sensor)

    assert [request.partition_key for request in requests] == ["2026/01/a.csv", "b.csv"]
    assert sorted(folder.instance.get_dynamic_partitions("drops")) == ["2026/01/a.csv", "b.csv"]
    assert changed.partition_key == "b.csv"
    assert changed.run_key not in {request.run_key for request in requests}


def test_partitions_that_are_new_to_the_sensor_get_the_files_that_were_seen_before(folder: Folder, tmp_path: Path) -> None:
    told = {"name": "files", "file_glob": "*.csv", "min_age_seconds": 0}
    by_file = build_file_sensor(folder.path, [drops], **told, partitions_def=DROPS)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as folder.instance:
        folder.drop("a.csv")
        folder.tick(build_file_sensor(folder.path, [orders], **told))
        folder.drop("b.csv")

        assert [request.partition_key for request in folder.tick(by_file)] == ["b.csv"]
        assert sorted(folder.instance.get_dynamic_partitions("drops")) == ["a.csv", "b.csv"]

        folder.instance.delete_dynamic_partition("drops", "a.csv")
        assert folder.tick(by_file) == []
        assert folder.instance.get_dynamic_partitions("drops") == ["b.csv"]


def test_what_is_too_much_for_one_tick_is_taken_by_the_next_ones_oldest_first(
    folder: Folder, persistent: dg.DagsterInstance
) -> None:
    folder.instance = persistent
    sensor = build_file_sensor(
        folder.path, [drops], name="files", min_age_seconds=0, partitions_def=DROPS, max_files=2, remembered_files=1
    )
    for number in range(5):
        folder.drop(f"{number}.csv", at=LONG_AGO - number)

    ticks = [[request.partition_key for request in folder.tick(sensor)] for _ in range(4)]

    assert ticks == [["4.csv", "3.csv"], ["2.csv", "1.csv"], ["0.csv"], []]
    assert len(json.loads(folder.cursor or "")["seen"]) == 1


def test_a_file_that_comes_late_is_taken_as_long_as_older_ones_are_remembered(folder: Folder) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=0, remembered_files=2)
    for number in (1, 2, 3, 4):
        folder.drop(f"{number}.csv", at=LONG_AGO + 10 * number)
    folder.tick(sensor)

    folder.drop("late.csv", at=LONG_AGO + 25)
    folder.drop("too-late.csv", at=LONG_AGO + 15)

    assert folder.files(sensor) == ["late.csv"]


def test_a_folder_that_is_not_there_skips_and_keeps_the_cursor(folder: Folder) -> None:
    sensor = build_file_sensor(lambda: folder.path, [orders], name="files", min_age_seconds=0)
    folder.drop("a.csv")
    folder.tick(sensor)
    cursor = folder.cursor
    folder.path.rename(folder.path.with_name("away"))

    gone = folder.files(sensor)
    reason = folder.reason
    folder.path.with_name("away").rename(folder.path)

    assert (gone, folder.cursor) == ([], cursor)
    assert reason == f"{folder.path} is no folder, or cannot be read. The next tick tries again."
    assert folder.files(sensor) == []


@pytest.mark.parametrize(
    "stored",
    [
        '{"version": 9}',
        "{",
        "7",
        '{"version": 1, "seen": ["a"]}',
        '{"version": 1, "floor": 7}',
        '{"version": 1, "seen": 7}',
    ],
)
def test_a_cursor_that_cannot_be_read_is_forgotten(folder: Folder, stored: str) -> None:
    sensor = build_file_sensor(folder.path, [orders], name="files", min_age_seconds=0)
    folder.drop("a.csv")

    (first,) = folder.tick(sensor)
    (again,) = folder.tick(sensor, stored)

    assert first.run_key != again.run_key
    assert folder.files(sensor) == []


marks = st.tuples(st.integers(0, 20), st.integers(0, 3))


@given(
    rounds=st.lists(st.dictionaries(st.sampled_from("abcdef"), marks, max_size=4), max_size=6),
    remembered=st.integers(1, 3),
    taken=st.integers(1, 3),
)
def test_no_file_that_waits_is_ever_taken_for_seen(rounds: list[dict[str, Mark]], remembered: int, taken: int) -> None:
    cursor = FileCursor()
    for found in rounds:
        new = {name: mark for name, mark in found.items() if cursor.is_new(name, mark)}
        ready = dict(list(new.items())[:taken])
        left = {name: mark for name, mark in new.items() if name not in ready}
        moved = cursor.having_seen(ready, unseen=left, remembered=remembered)

        assert all(moved.is_new(name, mark) for name, mark in left.items())
        assert not any(moved.is_new(name, mark) for name, mark in found.items() if name not in left)
        assert FileCursor.read(moved.to_json()) == moved
        cursor = moved


def test_settings_that_make_no_sense_are_refused(folder: Folder) -> None:
    with pytest.raises(DeclarationError, match="max_files=0"):
        build_file_sensor(folder.path, [orders], name="files", max_files=0)


def test_new_objects_of_a_bucket_launch_runs_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_s3() as s3:
        sensor = build_file_sensor(
            f"s3://{BUCKET}/in", [orders], name="files", file_glob="**/*.csv", credentials=s3.credentials, min_age_seconds=0
        )
        s3.put("in/2026/a.csv", "id\n")
        s3.put("in/b.txt", "id\n")
        assert folder.files(sensor) == ["2026/a.csv"]
        assert folder.files(sensor) == []

        s3.put("in/2026/a.csv", "id\n1\n")
        assert folder.files(sensor) == ["2026/a.csv"]

        monkeypatch.setenv("SOURCES__FILESYSTEM__CREDENTIALS", json.dumps(s3.credentials))
        configured = build_file_sensor(f"s3://{BUCKET}/in", [orders], name="files", min_age_seconds=0)
        folder.cursor = None
        assert folder.files(configured) == ["b.txt"]

        elsewhere = build_file_sensor("s3://nowhere-at-all", [orders], name="files")
        assert folder.files(elsewhere) == []
        assert "s3://nowhere-at-all cannot be listed" in (folder.reason or "")
