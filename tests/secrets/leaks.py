"""Finding marked secrets in whatever a run has left, in every common spelling. Shares no code with what masks them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb


def marked(name: str) -> str:
    """A secret that occurs nowhere else, with characters that are written in other ways in addresses, JSON and HTML."""
    return f'mk/{name}+{name[::-1]}="ü&%'


def spellings(secret: str) -> set[bytes]:
    texts = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        repr(secret)[1:-1],
        secret.replace('"', '\\"'),
        secret.replace("&", "&amp;").replace('"', "&quot;"),
        # The core alone: a part that was cut out of a longer text is a leak, too.
        secret[3:].split("=")[0],
    }
    found = {text.encode() for text in texts} | {secret.encode("latin-1"), secret.encode("utf-16-le")}
    for content in (secret.encode(), secret.encode("latin-1")):
        found |= set(_base64_cores(content)) | {content.hex().encode()}
    return found


def _base64_cores(content: bytes) -> Iterator[bytes]:
    """What base64 makes of it at each of the three places where it may begin, without what its neighbours change."""
    for shift in range(3):
        padded = base64.b64encode(b"\0" * shift + content)
        core = padded[4 if shift else 0 : len(padded) - 4]
        yield core
        yield core.replace(b"+", b"-").replace(b"/", b"_")


def leaks(secrets: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    """Where which secret was found, with what stands around it."""
    found = []
    for name, secret in secrets.items():
        for spelling in spellings(secret):
            for place, content in places.items():
                at = content.find(spelling)
                if at >= 0:
                    found.append(f"{name} in {place}: …{content[max(0, at - 150) : at + 80]!r}…")
    return sorted(found)


def files_below(folder: Path, *, without: Iterable[str] = ()) -> dict[str, bytes]:
    """Every file, and of databases every value, by its path."""
    left = {str(folder / name) for name in without}
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and str(path) not in left:
            found[str(path)] = path.read_bytes()
            if path.suffix == ".duckdb":
                found[f"{path} (values)"] = _values(path)
    return found


def _values(file: Path) -> bytes:
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        lines = []
        for schema, table in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
            rows = connection.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{schema}"."{table}"').fetchall()
            lines += [f"{schema}.{table}: {row}" for row in rows]
            if table == "_dlt_pipeline_state":
                states = connection.execute(f'SELECT state FROM "{schema}"."{table}"').fetchall()
                lines += [zlib.decompress(base64.b64decode(text)).decode() for (text,) in states]
    return "\n".join(lines).encode()
