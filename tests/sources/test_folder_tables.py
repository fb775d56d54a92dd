"""Tables of a folder, told by patterns: which of their files a run reads, and what is answered to wrong keys."""

from __future__ import annotations

import pytest

from dlt_orchestrate.errors import DeclarationError
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


def test_a_run_without_new_files_leaves_a_replaced_table_as_it_is(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="version") | read_csv()
    inbox.drop("1.csv", "id\n1\n")
    inbox.load(files, write_disposition="replace")

    inbox.load(files, write_disposition="replace")

    assert inbox.rows("id") == [1]


def test_an_option_that_the_reader_does_not_have_is_told_with_its_table() -> None:
    with pytest.raises(DeclarationError, match=r"Files 'orders': options: .*'sepp'"):
        _ = folder_source("in", tables={"orders": {"file_glob": "*.csv", "options": {"sepp": ";"}}}).resources


def test_a_replaced_table_that_is_told_to_take_each_file_once_is_refused() -> None:
    table = {"file_glob": "*.csv", "write_disposition": "replace", "load_once": "name"}

    with pytest.raises(DeclarationError, match=r"Files 'rows': load_once='name' .* for gone"):
        _ = folder_source("in", tables={"rows": table}).resources
