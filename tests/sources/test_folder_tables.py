"""Tables of a folder, told by patterns: which of their files a run reads, and what is answered to wrong keys."""

from __future__ import annotations

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, folder_source, read_csv


@pytest.mark.parametrize(
    "disposition", ["replace", {"disposition": "merge", "strategy": "scd2"}, {"disposition": "merge", "strategy": "cdc"}]
)
def test_tables_whose_absent_rows_go_are_read_from_all_files_in_every_run(inbox, disposition) -> None:
    table = {"file_glob": "*.csv", "write_disposition": disposition, "primary_key": "id"}
    source = folder_source(str(inbox.path), tables={"rows": table})
    inbox.drop("1.csv", "id\n1\n")
    inbox.pipeline.run(source)

    inbox.drop("2.csv", "id\n2\n")
    inbox.pipeline.run(source)
    inbox.pipeline.run(source)

    valid = " WHERE _dlt_valid_to IS NULL" if "scd2" in str(disposition) else ""
    assert inbox.pipeline.dataset().query(f"SELECT id FROM rows{valid} ORDER BY id").fetchall() == [(1,), (2,)]


def test_files_that_are_loaded_once_retire_no_rows_of_earlier_ones(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="version") | read_csv()
    files.apply_hints(primary_key="id", write_disposition={"disposition": "merge", "strategy": "scd2"})
    inbox.drop("1.csv", "id\n1\n")
    inbox.load(files)
    inbox.load(files)

    inbox.drop("2.csv", "id\n2\n")
    inbox.load(files)

    found = inbox.pipeline.dataset().query("SELECT id FROM rows WHERE _dlt_valid_to IS NULL ORDER BY id").fetchall()
    assert found == [(1,), (2,)]


def test_a_table_may_be_called_as_what_lists_the_files(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n2\n")
    inbox.drop("b.csv", "id\n3\n")
    source = folder_source(str(inbox.path), tables={"filesystem": "a.csv", "orders": "b.csv"})
    source.resources["filesystem"].add_filter(lambda table: table.num_rows > 5)

    inbox.pipeline.run(source)

    assert inbox.rows("id", table="orders") == [3]
    assert "filesystem" not in inbox.pipeline.dataset().row_counts()


def test_changes_of_a_resource_are_none_of_what_is_called_like_it_and_feeds_a_sibling(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n")

    @dlt.source
    def files():
        for name in ("filesystem", "orders"):
            yield (filesystem(str(inbox.path)) | read_csv()).with_name(name)

    source = files()
    source.resources["filesystem"].add_limit(0)
    inbox.pipeline.run(source)

    assert inbox.rows("id", table="orders") == [1]


def test_the_cursor_over_files_is_kept_apart_from_that_of_rows_also_under_one_name(inbox) -> None:
    def rows():
        files = filesystem(str(inbox.path), incremental=dlt.sources.incremental("modification_date")) | read_csv()
        return files.with_name("filesystem").apply_hints(incremental=dlt.sources.incremental("id"))

    inbox.drop("1.csv", "id\n1\n2\n", at=100)
    inbox.pipeline.run(rows())
    inbox.drop("2.csv", "id\n2\n3\n", at=200)
    inbox.pipeline.run(rows())

    assert inbox.rows("id", table="filesystem") == [1, 2, 3]


def test_an_option_that_the_reader_does_not_have_is_told_with_its_table() -> None:
    with pytest.raises(DeclarationError, match=r"Files 'orders': options: .*'seperator'. Did you mean 'sep'\?$"):
        _ = folder_source("in", tables={"orders": {"file_glob": "*.csv", "options": {"seperator": ";"}}}).resources


def test_the_file_of_a_partition_replaces_what_it_gave_before_and_only_that(inbox) -> None:
    """Also where the table merges."""
    table = {"file_glob": "*.csv", "primary_key": "id", "write_disposition": "merge", "partition_is_file": True}
    source = folder_source(str(inbox.path), tables={"rows": table})
    inbox.drop("a.csv", "id\n1\n2\n")
    inbox.drop("b.csv", "id\n3\n")
    for file in ("a.csv", "b.csv"):
        inbox.pipeline.run(source, partition=file)

    inbox.drop("a.csv", "id\n2\n4\n")
    inbox.pipeline.run(source, partition="a.csv")
    assert inbox.rows("id", table="rows") == [2, 3, 4]

    inbox.drop("a.csv", "id\n")
    inbox.pipeline.run(source, partition="a.csv")
    assert inbox.rows("id", table="rows") == [3]


def test_a_window_of_time_is_no_file(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n")
    source = folder_source(str(inbox.path), tables={"rows": "*.csv"}, partition_is_file=True)

    with pytest.raises(PipelineStepFailed, match="a window of time has no key"):
        inbox.pipeline.run(source, window=("2026-01-01", "2026-01-02"))


def test_a_table_without_a_pattern_is_told() -> None:
    with pytest.raises(
        DeclarationError, match=r"Files 'orders': None names no files. Give a pattern, such as 'orders/\*.csv'"
    ):
        _ = folder_source("in", tables={"orders": None}).resources


def test_a_replaced_table_that_is_told_to_take_each_file_once_is_refused() -> None:
    table = {"file_glob": "*.csv", "write_disposition": "replace", "load_once": "name"}

    with pytest.raises(DeclarationError, match=r"Files 'rows': load_once='name' .* for gone"):
        _ = folder_source("in", tables={"rows": table}).resources
