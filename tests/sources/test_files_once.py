"""Each file is loaded once, as one version of it, whatever happens to files and runs meanwhile."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, FileChangedError, FilesNotListedError, PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, read_csv, read_jsonl, read_parquet, readers, reading
from dlt_orchestrate.sources.filesystem.seen import KEY, SeenFiles
from dlt_orchestrate.sources.filesystem.storage import Storage, mark_of
from dlt_orchestrate.state.document import encode_state
from dlt_orchestrate.state.values import encode


def lines(*ids: int) -> str:
    return "".join(json.dumps({"id": number}) + "\n" for number in ids)


def test_only_new_files_are_loaded_and_a_late_one_with_an_old_date_is_new(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="version") | read_jsonl()
    inbox.drop("b.jsonl", lines(1))
    inbox.load(files)
    inbox.drop("a.jsonl", lines(2), at=10)

    assert inbox.load(files) == 1
    assert inbox.load(files) == 0
    assert inbox.rows("id") == [1, 2]


@pytest.mark.parametrize(("by", "expected"), [("version", [1, 2]), ("name", [1])])
def test_a_file_that_changed_is_new_by_its_version_and_not_by_its_name(inbox, by, expected) -> None:
    files = filesystem(str(inbox.path), load_once=by) | read_jsonl()
    inbox.drop("a.jsonl", lines(1))
    inbox.load(files)
    inbox.drop("a.jsonl", lines(2), at=11)

    inbox.load(files)

    assert inbox.rows("id") == expected


def test_a_cursor_over_the_date_of_change_takes_later_files_and_others_of_the_same_moment(inbox) -> None:
    def files():
        newer = dlt.sources.incremental("modification_date")
        return filesystem(str(inbox.path), incremental=newer) | read_jsonl()

    inbox.drop("a.jsonl", lines(1), at=100)
    inbox.load(files())
    inbox.drop("b.jsonl", lines(2), at=100)
    inbox.drop("c.jsonl", lines(3), at=200)
    inbox.load(files())

    assert inbox.load(files()) == 0
    assert inbox.rows("id") == [1, 2, 3]


def test_without_either_every_run_reads_all_files(inbox) -> None:
    inbox.drop("a.jsonl", lines(1))
    for _ in range(2):
        inbox.load(filesystem(str(inbox.path)) | read_jsonl(), write_disposition="replace")

    assert inbox.rows("id") == [1]


def test_files_that_were_written_to_just_now_are_left_to_the_next_run(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="version", min_age_seconds=3_600) | read_jsonl()
    inbox.drop("a.jsonl", lines(1))
    inbox.drop("b.jsonl", lines(2), at=int(time.time()))

    inbox.load(files)
    assert inbox.rows("id") == [1]

    os.utime(inbox.path / "b.jsonl", (0, 0))
    inbox.load(files)
    assert inbox.rows("id") == [1, 2]


def test_a_partition_reads_all_its_files_whatever_other_runs_have_loaded(inbox) -> None:
    inbox.drop("eu/1.jsonl", lines(1))
    inbox.drop("us/1.jsonl", lines(2))

    @dlt.source
    def regions():
        region = dlt.current.partition_key() or "*"
        return (filesystem(str(inbox.path), file_glob=f"{region}/*", load_once="version") | read_jsonl()).with_name("rows")

    inbox.pipeline.run(regions())
    inbox.pipeline.run(regions(), refresh="drop_data")
    for region in ("eu", "us", "eu"):
        inbox.pipeline.run(regions(), partition=region)
    assert inbox.rows("id") == [1, 1, 2, 2]

    inbox.drop("eu/2.jsonl", lines(3))
    inbox.pipeline.run(regions(), partition="eu")
    assert inbox.rows("id") == [1, 1, 2, 2, 3]


def test_a_table_that_is_replaced_by_new_files_alone_is_refused(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="version") | read_jsonl()
    inbox.drop("a.jsonl", lines(1))
    inbox.load(files)

    with pytest.raises(PipelineStepFailed, match=r"'replace' would take their rows away\. Leave load_once out") as failed:
        inbox.load(files, write_disposition="replace")

    assert isinstance(failed.value.__cause__, DeclarationError)
    assert inbox.rows("id") == [1]


# --- a run that fails ----------------------------------------------------------------------------------------------


def test_files_of_a_load_that_failed_are_loaded_by_the_next(inbox) -> None:
    inbox.drop("a.jsonl", lines(1))
    inbox.drop("b.jsonl", lines(2))

    def broken(record):
        raise ValueError(record["id"])

    with pytest.raises(PipelineStepFailed):
        inbox.load((filesystem(str(inbox.path), load_once="name") | read_jsonl()).add_map(broken))
    inbox.load(filesystem(str(inbox.path), load_once="name") | read_jsonl())

    assert inbox.rows("id") == [1, 2]


def test_a_limited_run_takes_whole_files_and_the_next_goes_on(inbox) -> None:
    for number in range(5):
        inbox.drop(f"{number}.jsonl", lines(number), at=number)
    files = filesystem(str(inbox.path), load_once="name", files_per_page=2)

    assert inbox.load(files.clone().add_limit(1) | read_jsonl()) == 2
    assert inbox.load(files | read_jsonl()) == 3
    assert inbox.rows("id") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("reader", [read_jsonl, read_csv])
def test_files_that_were_read_ahead_of_a_limit_are_loaded_by_the_next_run(inbox, reader) -> None:
    for number in range(6):
        inbox.drop(f"{number}", lines(number) if reader is read_jsonl else f"id\n{number}\n", at=number)

    async def later(record):
        return record

    def files():
        # A page of files is decoded together, so each file has a page of its own here.
        return filesystem(str(inbox.path), load_once="name", files_per_page=1) | reader()

    assert inbox.load(files().add_map(later).add_limit(2)) == 2
    assert inbox.load(files()) == 4
    assert inbox.rows("id") == [0, 1, 2, 3, 4, 5]


def test_a_file_that_a_limit_cuts_is_loaded_anew(inbox) -> None:
    inbox.drop("a.jsonl", lines(0), at=1)
    inbox.drop("b.jsonl", lines(1, 2, 3), at=2)
    files = filesystem(str(inbox.path), load_once="name", files_per_page=1) | read_jsonl()

    assert inbox.load(files.clone().add_yield_map(lambda record: [record]).add_limit(2)) == 2
    assert inbox.load(files) == 3
    assert inbox.rows("id") == [0, 1, 1, 2, 3]


def parquet(*ids: int) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"id": list(ids)}), written)
    return written.getvalue()


def test_a_cursor_does_not_pass_what_stands_behind_a_limit(inbox) -> None:
    inbox.drop("a.parquet", parquet(*range(300)))

    def files():
        ascending = dlt.sources.incremental("id", row_order="asc")
        found = filesystem(str(inbox.path), load_once="version") | read_parquet(chunksize=100)
        return found.apply_hints(incremental=ascending)

    assert inbox.load(files().add_limit(1)) == 100
    assert inbox.load(files()) == 200
    assert inbox.rows("id") == list(range(300))


@pytest.mark.parametrize(("files_per_page", "second"), [(2, [2, 3, 4]), (1, [3, 4, 5])])
def test_a_cursor_over_dates_does_not_pass_files_that_a_limit_behind_the_reader_cut_off(
    inbox, files_per_page, second
) -> None:
    for number in range(6):
        inbox.drop(f"{number}.csv", f"id\n{number}\n", at=number)

    def files():
        by_date = dlt.sources.incremental("modification_date", row_order="asc")
        return filesystem(str(inbox.path), files_per_page=files_per_page, incremental=by_date) | read_csv()

    inbox.load(files().add_limit(3))
    assert inbox.rows("id") == [0, 1, 2]
    inbox.load(files().add_limit(3))
    assert inbox.rows("id") == sorted([0, 1, 2, *second])
    inbox.load(files())
    assert set(inbox.rows("id")) == set(range(6))


def test_a_cursor_over_dates_that_is_given_to_the_reader_is_sent_to_the_files(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n", at=1)
    by_date = dlt.sources.incremental("modification_date")

    behind = filesystem(str(inbox.path)) | read_csv()
    before = filesystem(str(inbox.path)).apply_hints(incremental=by_date)

    with pytest.raises(
        PipelineStepFailed, match=r"field of what 'filesystem' yields.*filesystem\.apply_hints\(incremental"
    ):
        inbox.load(behind.apply_hints(incremental=by_date))
    assert [inbox.load(before | read_csv()) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("pattern", ["**/*.csv", "*/*/*.csv"])
def test_a_link_that_leads_back_to_its_own_folder_ends_there(inbox, pattern) -> None:
    inbox.drop("a/b/1.csv", "id\n1\n")
    inbox.drop("a/2.csv", "id\n2\n")
    (inbox.path / "a" / "b" / "back").symlink_to(inbox.path / "a")
    (inbox.path / "linked").symlink_to(inbox.path / "a")

    found = [item["relative_path"] for item in filesystem(str(inbox.path), file_glob=pattern)]

    two_levels_down = ["a/b/1.csv", "linked/b/1.csv"]
    one_level_down = [] if pattern.startswith("*/") else ["a/2.csv", "linked/2.csv"]
    assert sorted(found) == sorted([*one_level_down, *two_levels_down])


def test_what_fails_behind_a_limit_was_not_asked_for(inbox) -> None:
    inbox.drop("a.parquet", parquet(*range(300)))

    def fails(table):
        if table["id"][0].as_py() >= 100:
            raise RuntimeError("behind the limit")
        return table

    files = filesystem(str(inbox.path), load_once="version") | read_parquet(chunksize=100)

    assert inbox.load(files.add_map(fails).add_limit(1)) == 100


@pytest.mark.parametrize("files_per_page", [1, 5])
def test_files_that_deferred_calls_of_ones_own_open_are_not_loaded_twice_around_a_checkpoint(inbox, files_per_page) -> None:
    for number in range(20):
        inbox.drop(f"{number:02}.txt", str(number), at=number)
    is_broken = True

    def fails(record):
        if is_broken and record["id"] == 17:
            raise RuntimeError("dies")
        return record

    @dlt.transformer
    def texts(items):
        for item in items:

            @dlt.defer
            def read(item=item):
                return [{"id": int(item.read_bytes())}]

            yield read()

    def files():
        found = filesystem(str(inbox.path), load_once="version", files_per_page=files_per_page) | texts
        return found.add_map(fails)

    with pytest.raises(PipelineStepFailed):
        inbox.load(files(), checkpoint={"pages": 1})
    is_broken = False
    inbox.load(files(), checkpoint={"pages": 1})

    assert inbox.rows("id") == list(range(20))


def test_files_that_code_of_ones_own_has_read_ahead_of_a_limit_are_loaded_by_the_next_run(inbox) -> None:
    for number in range(4):
        inbox.drop(f"{number}.txt", f"{number}", at=number)

    @dlt.transformer
    async def texts(items):
        return [{"text": item.read_bytes().decode()} for item in items]

    def files():
        return filesystem(str(inbox.path), load_once="name", files_per_page=1) | texts

    assert inbox.load(files().add_limit(2)) == 2
    assert inbox.load(files()) == 2
    assert inbox.rows("text") == ["0", "1", "2", "3"]


def test_files_that_a_filter_leaves_out_are_new_without_it(inbox) -> None:
    inbox.drop("a.jsonl", lines(1))
    inbox.drop("b.jsonl", lines(2))
    files = filesystem(str(inbox.path), load_once="name")

    inbox.load(files.clone().add_filter(lambda item: item["file_name"] == "a.jsonl") | read_jsonl())
    inbox.load(files | read_jsonl())

    assert inbox.rows("id") == [1, 2]


def test_code_that_opens_files_itself_gets_each_once(inbox) -> None:
    inbox.drop("a.txt", "one")
    inbox.drop("b.txt", "two")

    @dlt.transformer
    def texts(items):
        for item in items:
            with item.open("r") as file:
                yield {"text": file.read(), "bytes": len(item.read_bytes())}

    for _ in range(2):
        inbox.load(filesystem(str(inbox.path), load_once="name") | texts)

    assert inbox.rows("text", "bytes") == [("one", 3), ("two", 3)]


def test_code_that_reads_files_by_their_address_gets_each_once(inbox) -> None:
    inbox.drop("a.txt", "one")

    @dlt.transformer
    def names(items):
        yield [{"name": item["file_name"]} for item in items]

    for _ in range(2):
        inbox.load(filesystem(str(inbox.path), load_once="name") | names)

    assert inbox.rows("name") == ["a.txt"]


# --- files that change under the reader ----------------------------------------------------------------------------


def meddling(path: Path, change) -> object:
    """A step that changes a file as soon as the first rows of it have come."""
    done: list[bool] = []

    def step(record):
        if not done:
            done.append(True)
            change(path)
        return record

    return step


ROWS = 150_000


def large(word: str) -> bytes:
    """A file of more than one block."""
    return b"id,word\n" + b"".join(b"%d,%s\n" % (number, word.encode() * 3) for number in range(ROWS))


@pytest.fixture
def read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a megabyte count as large."""
    monkeypatch.setattr(reading, "SMALL_BYTES", 2**20)


def test_a_file_that_is_written_to_while_it_is_read_fails_the_load_and_nothing_of_it_stays(inbox, read_in_pieces) -> None:
    path = inbox.drop("a.csv", large("old"))
    files = filesystem(str(inbox.path), load_once="version")
    step = meddling(path, lambda it: it.write_bytes(large("new")))

    with pytest.raises(PipelineStepFailed, match=r"a\.csv was written to while it was read") as failed:
        inbox.load((files | read_csv()).add_map(step))
    assert isinstance(failed.value.__cause__, FileChangedError)

    inbox.load(files | read_csv())
    found = inbox.pipeline.dataset().query("SELECT word, count(*) FROM rows GROUP BY ALL").fetchall()
    assert found == [("newnewnew", ROWS)]


def test_a_file_that_is_put_in_place_of_the_one_being_read_is_the_next_version(inbox, read_in_pieces) -> None:
    path = inbox.drop("a.csv", large("old"))
    files = filesystem(str(inbox.path), load_once="version")
    step = meddling(path, lambda it: inbox.drop("other/a.csv", "id,word\n0,new\n", at=99).replace(it))

    inbox.load((files | read_csv()).add_map(step))
    inbox.load(files | read_csv())

    found = inbox.pipeline.dataset().query("SELECT word, count(*) FROM rows GROUP BY ALL ORDER BY ALL").fetchall()
    assert found == [("new", 1), ("oldoldold", ROWS)]


def test_a_small_file_that_is_written_to_while_it_is_read_is_read_anew(inbox, monkeypatch) -> None:
    path = inbox.drop("a.jsonl", lines(1))
    calls: list[int] = []

    def after_a_write(status):
        calls.append(1)
        if len(calls) == 2:  # opened, and now read
            path.write_text(lines(1, 2))
            status = path.stat()
        return mark_of(status)

    monkeypatch.setattr(reading, "mark_of", after_a_write)

    inbox.load(filesystem(str(inbox.path)) | read_jsonl())

    assert inbox.rows("id") == [1, 2]


def test_a_file_that_is_gone_is_left_out_with_a_warning(inbox, caplog) -> None:
    inbox.drop("a.jsonl", lines(1), at=1)
    gone = inbox.drop("b.jsonl", lines(2), at=2)
    files = filesystem(str(inbox.path)).add_map(lambda item: gone.unlink(missing_ok=True) or item)

    inbox.load(files | read_jsonl())

    assert inbox.rows("id") == [1]
    assert "b.jsonl was listed and is gone" in caplog.text


def test_behind_a_cursor_a_file_that_was_written_to_since_it_was_listed_belongs_to_the_next_run(inbox) -> None:
    def files():
        return filesystem(str(inbox.path), incremental=dlt.sources.incremental("modification_date"))

    def written_to(item):
        inbox.drop("a.jsonl", lines(2), at=200)
        return item

    inbox.drop("a.jsonl", lines(1), at=100)
    inbox.drop("b.jsonl", lines(9), at=150)
    inbox.load(files().add_map(written_to) | read_jsonl())
    assert inbox.rows("id") == [9]

    inbox.load(files() | read_jsonl())
    assert inbox.rows("id") == [2, 9]


# --- what cannot work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"load_once": "hash"}, "load_once is 'name', 'version' or None, not 'hash'"),
        ({"files_per_page": 0}, "files_per_page is at least 1, not 0"),
        ({"load_once": "name", "incremental": dlt.sources.incremental("modification_date")}, "Leave one of them out"),
    ],
)
def test_arguments_that_do_not_go_together_are_told(inbox, arguments, message) -> None:
    with pytest.raises(PipelineStepFailed, match=message) as failed:
        inbox.load(filesystem(str(inbox.path), **arguments))
    assert isinstance(failed.value.__cause__, DeclarationError)


def test_a_folder_that_is_not_there_is_told(inbox) -> None:
    with pytest.raises(PipelineStepFailed, match=r"Files '\*' at file:///nowhere cannot be listed") as failed:
        inbox.load(filesystem("/nowhere"))
    assert isinstance(failed.value.__cause__, FilesNotListedError)


def test_a_pattern_that_nothing_matches_is_warned_of(inbox, caplog) -> None:
    inbox.load(filesystem(str(inbox.path), file_glob="*.csv") | read_csv())

    assert "matches '*.csv'" in caplog.text


# --- patterns and configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.csv"]),
        ("**", ["2026/01/b.csv", "2026/[x]/c.csv", "a.csv"]),
        ("**/*.csv", ["2026/01/b.csv", "2026/[x]/c.csv", "a.csv"]),
        ("2026/*/?.csv", ["2026/01/b.csv", "2026/[x]/c.csv"]),
        ("2026/0[1-3]/*", ["2026/01/b.csv"]),
        (".*", [".hidden"]),
    ],
)
def test_patterns(inbox, pattern, expected) -> None:
    for name in ("a.csv", "2026/01/b.csv", "2026/[x]/c.csv", ".hidden", "2026/.d/e.csv"):
        inbox.drop(name, "id\n")

    found = [item["relative_path"] for item in filesystem(str(inbox.path), file_glob=pattern)]

    assert sorted(found) == expected


def test_where_files_lie_may_be_configured(inbox, monkeypatch) -> None:
    inbox.drop("a.jsonl", lines(1))
    monkeypatch.setenv("SOURCES__FILESYSTEM__BUCKET_URL", str(inbox.path))
    monkeypatch.setenv("SOURCES__FILESYSTEM__FILE_GLOB", "*.jsonl")

    inbox.load(readers().read_jsonl())

    assert inbox.rows("id") == [1]


def test_the_list_of_files_can_be_loaded_with_their_content(inbox) -> None:
    inbox.drop("x/a.csv.gz", b"\x1f\x8bno", at=1)

    inbox.load(filesystem(inbox.path.as_uri(), file_glob="**", extract_content=True))

    columns = ("file_name", "relative_path", "mime_type", "encoding", "size_in_bytes", "file_content")
    assert inbox.rows(*columns) == [("a.csv.gz", "x/a.csv.gz", "text/csv", "gzip", 4, b"\x1f\x8bno")]


# --- what is remembered --------------------------------------------------------------------------------------------


def test_a_hundred_thousand_seen_files_make_a_small_state(tmp_path) -> None:
    storage = Storage.opened(str(tmp_path))
    status = tmp_path.stat()
    files = [storage.local_file(f"{tmp_path}/2026/{number:06}.jsonl", status) for number in range(100_000)]
    state: dict = {}

    seen = SeenFiles(state, "version")
    for at in range(0, len(files), 100):
        seen.note(files[at : at + 100])

    again = SeenFiles(state, "version")
    assert len(again) == 100_000
    assert all(file in again for file in files[::1_000])
    assert storage.local_file(f"{tmp_path}/new", status) not in again
    assert len(encode_state(encode(state))) < 1_500_000


def test_seen_by_name_is_not_seen_by_version(tmp_path) -> None:
    storage = Storage.opened(str(tmp_path))
    file = storage.local_file(f"{tmp_path}/a", tmp_path.stat())
    state: dict = {}
    SeenFiles(state, "name").note([file])

    assert file in SeenFiles(state, "name")
    assert file not in SeenFiles(state, "version")
    assert state[KEY]["by"] == "version"
