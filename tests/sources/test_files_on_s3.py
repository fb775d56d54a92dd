"""Files of a bucket, read over the protocol of S3 from a server on loopback."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import BUCKET, S3, running_s3

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, FileChangedError, FilesNotListedError, PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, read_csv, read_jsonl, read_parquet, reading
from dlt_orchestrate.sources.filesystem.storage import Storage


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running_s3() as s3:
        yield s3


@pytest.fixture
def s3(server: S3) -> S3:
    """The server, its bucket empty."""
    if found := server.fs.find(BUCKET):
        server.fs.rm(found)
    return server


def files(s3: S3, **arguments):
    return filesystem(f"s3://{BUCKET}/in", s3.credentials, **arguments)


def test_files_of_a_bucket_are_loaded_once(inbox, s3) -> None:
    for number in range(20):
        s3.put(f"in/{number % 3}/{number}.jsonl", json.dumps({"id": number}) + "\n")
    s3.put("in/other.csv", "no\n")
    s3.put("elsewhere/21.jsonl", '{"id": 21}')
    new = files(s3, file_glob="**/*.jsonl", load_once="version") | read_jsonl()

    assert inbox.load(new) == 20
    assert inbox.load(new) == 0

    s3.put("in/1/1.jsonl", '{"id": 100}\n')
    s3.put("in/3/new.jsonl", '{"id": 101}\n')
    assert inbox.load(new) == 2
    assert inbox.rows("id") == [*range(20), 100, 101]


def test_csv_packed_and_parquet_files_come_from_buckets(inbox, s3) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), written)
    s3.put("in/a.parquet", written.getvalue())
    s3.put("in/a.csv.gz", gzip.compress(b"id\n3\n"))

    inbox.load(files(s3, file_glob="*.parquet") | read_parquet())
    inbox.load(files(s3, file_glob="*.csv.gz") | read_csv())

    assert inbox.rows("id") == [1, 2, 3]


def test_credentials_may_be_configured_and_never_show(inbox, s3, monkeypatch, capsys) -> None:
    s3.put("in/a.jsonl", '{"id": 1}')
    monkeypatch.setenv("SOURCES__FILESYSTEM__BUCKET_URL", f"s3://{BUCKET}/in")
    for name, value in s3.credentials.items():
        monkeypatch.setenv(f"SOURCES__FILESYSTEM__CREDENTIALS__{name.upper()}", value)

    inbox.load(filesystem() | read_jsonl())
    assert inbox.rows("id") == [1]

    with pytest.raises(PipelineStepFailed) as failed:
        inbox.load(filesystem("s3://nowhere-at-all") | read_jsonl())
    assert isinstance(failed.value.__cause__, FilesNotListedError)
    assert "nowhere-at-all" in str(failed.value)
    assert "secret-of-tests" not in str(failed.value) + repr(failed.value.__cause__)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("aws_acces_key_id", "Did you mean 'aws_access_key_id'?"),
        ("endpoint", "Did you mean 'endpoint_url'?"),
        ("nonesuch", "Known are aws_access_key_id,"),
    ],
)
def test_a_credential_that_the_store_does_not_have_is_told(inbox, name, told) -> None:
    with pytest.raises(PipelineStepFailed, match=f"credentials of s3:// have no '{name}'. {re.escape(told)}") as failed:
        inbox.load(filesystem(f"s3://{BUCKET}", {name: "s3cr3t-value"}) | read_jsonl())

    assert isinstance(failed.value.__cause__, DeclarationError)
    assert "s3cr3t" not in str(failed.value)


def test_the_same_name_with_other_content_of_the_same_size_and_second_is_new(inbox, s3) -> None:
    new = files(s3, load_once="version") | read_jsonl()
    s3.put("in/a.jsonl", '{"id": 1}')
    inbox.load(new)
    s3.put("in/a.jsonl", '{"id": 2}')

    inbox.load(new)

    assert inbox.rows("id") == [1, 2]


def test_a_bucket_that_is_empty_is_no_error(inbox, s3) -> None:
    assert inbox.load(files(s3) | read_jsonl()) == 0


def test_a_large_object_that_is_replaced_while_it_is_read_fails_the_load(inbox, s3, monkeypatch) -> None:
    def content(word: str) -> bytes:
        return b"id,word\n" + b"".join(b"%d,%s\n" % (number, word.encode()) for number in range(300_000))

    monkeypatch.setattr(reading, "SMALL_BYTES", 1_000)
    monkeypatch.setattr(reading, "_REMOTE_BLOCK_BYTES", 2**20)
    s3.put("in/a.csv", content("old"))
    done: list[bool] = []

    def meddling(table):
        if not done:
            done.append(True)
            s3.put("in/a.csv", content("new"))
        return table

    with pytest.raises(PipelineStepFailed, match=r"in/a\.csv was written to while it was read") as failed:
        inbox.load((files(s3) | read_csv()).add_map(meddling))
    assert isinstance(failed.value.__cause__, FileChangedError)

    inbox.load(files(s3) | read_csv())
    found = inbox.pipeline.dataset().query("SELECT word, count(*) FROM rows GROUP BY ALL").fetchall()
    assert found == [("new", 300_000)]


def test_a_small_object_that_is_replaced_while_it_is_read_is_read_anew(inbox, s3, monkeypatch) -> None:
    s3.put("in/a.jsonl", '{"id": 1}')
    look = Storage.look
    looks: list[str] = []

    def after_a_write(self, path):
        looks.append(path)
        if len(looks) == 1:
            s3.put("in/a.jsonl", '{"id": 2}')
        return look(self, path)

    monkeypatch.setattr(Storage, "look", after_a_write)

    inbox.load(files(s3, load_once="version") | read_jsonl())
    assert inbox.rows("id") == [2]
    assert inbox.load(files(s3, load_once="version") | read_jsonl()) == 0


def test_an_object_that_is_gone_is_left_out_with_a_warning(inbox, s3, caplog) -> None:
    s3.put("in/a.jsonl", '{"id": 1}')
    s3.put("in/b.jsonl", '{"id": 2}')

    def removing(item):
        if s3.fs.exists(f"{BUCKET}/in/b.jsonl"):
            s3.fs.rm(f"{BUCKET}/in/b.jsonl")
        return item

    inbox.load(files(s3).add_map(removing) | read_jsonl())

    assert inbox.rows("id") == [1]
    assert "in/b.jsonl was listed and is gone" in caplog.text


def test_files_behind_a_cursor_over_their_date(inbox, s3) -> None:
    def newer():
        return files(s3, incremental=dlt.sources.incremental("modification_date")) | read_jsonl()

    s3.put("in/a.jsonl", '{"id": 1}')
    inbox.load(newer())
    s3.put("in/b.jsonl", '{"id": 2}')
    inbox.load(newer())

    assert inbox.rows("id") == [1, 2]
