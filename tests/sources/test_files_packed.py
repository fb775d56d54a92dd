"""Packed files are told by what they begin with, and read as what is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile

import pyarrow as pa
import pytest

from dlt_orchestrate.errors import FileReadError, PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, read_csv, read_jsonl

CONTENT = b"id,name\n1,one\n2,two\n"


def zipped(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


PACKED = {
    "gz": gzip.compress(CONTENT),
    "bz2": bz2.compress(CONTENT),
    "zst": zstandard(CONTENT),
    "zip": zipped(a=CONTENT),
}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", ["a.csv.{}", "without_an_ending"])
def test_packed_files_are_unpacked_whatever_their_name(inbox, ending, name) -> None:
    inbox.drop(name.format(ending), PACKED[ending])

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("id", "name") == [(1, "one"), (2, "two")]


def test_all_members_of_a_stream_and_all_files_of_an_archive_are_read(inbox) -> None:
    inbox.drop("a.jsonl.gz", gzip.compress(b'{"id": 1}\n') + gzip.compress(b'{"id": 2}\n'))
    inbox.drop("b.zip", zipped(x=b'{"id": 3}\n', y=b'{"id": 4}\nbad'))

    inbox.load(filesystem(str(inbox.path)) | read_jsonl())

    assert inbox.rows("id") == [1, 2, 3, 4]
    assert [cause.partition(":")[0] for _, cause in inbox.rejects()] == ["line 2 of b.zip/y"]


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst", "zip"])
def test_a_packed_file_that_ends_too_early_fails_the_load(inbox, ending) -> None:
    inbox.drop(f"a.csv.{ending}", PACKED[ending][:-9])

    with pytest.raises(PipelineStepFailed, match=rf"File file://.*a\.csv\.{ending} cannot be read") as failed:
        inbox.load(filesystem(str(inbox.path)) | read_csv())
    assert isinstance(failed.value.__cause__, FileReadError)


def test_a_file_that_is_named_like_a_packed_one_and_is_none_is_told(inbox) -> None:
    inbox.drop("a.csv.gz", CONTENT)

    with pytest.raises(PipelineStepFailed, match="its name says gzip, and it does not begin like such a file"):
        inbox.load(filesystem(str(inbox.path)) | read_csv())


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_can_be_opened_by_hand(inbox, ending) -> None:
    inbox.drop(f"a.csv.{ending}", PACKED[ending])
    (item,) = filesystem(str(inbox.path))

    with item.open() as unpacked, item.open("rt", encoding="ascii") as text, item.open(compression="disable") as raw:
        assert (unpacked.read(), text.read(), raw.read()) == (CONTENT, CONTENT.decode(), PACKED[ending])
