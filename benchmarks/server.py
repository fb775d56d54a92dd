"""Serves pages of generated records, as JSON, with `Link` headers.

`python -m benchmarks.server` prints its address, and ends when its input does.
`GET /<kind>?records=1000&size=100&latency_ms=20&page=3`; the kinds are in `TEMPLATES`. Bodies are put together from texts
made beforehand, so that serving is cheap; it is not measured anyway, since it is a process of its own.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from urllib.parse import parse_qs, urlsplit

import orjson

from benchmarks.records import flat_templates, nested_templates

TEMPLATES = {"flat": flat_templates, "nested": nested_templates}


def body(kind: str, first: int, count: int) -> bytes:
    """Records `first` to `first + count`, as a JSON array."""
    texts = _without_ids(kind)
    return b"[%b]" % b",".join(b'{"id":%d,%b' % (first + i, texts[i % len(texts)]) for i in range(count))


@cache
def _without_ids(kind: str) -> list[bytes]:
    records = TEMPLATES[kind]()
    return [orjson.dumps({key: value for key, value in record.items() if key != "id"})[1:] for record in records]


def answer(target: str, host: str) -> tuple[bytes, float]:
    """The whole response to a request, and how many seconds it takes."""
    address = urlsplit(target)
    kind = address.path.strip("/")
    asked = {name: int(values[0]) for name, values in parse_qs(address.query).items()}
    records, size, latency_ms = asked["records"], asked["size"], asked.get("latency_ms", 0)
    page = asked.get("page", 1)
    first = (page - 1) * size
    content = body(kind, first, max(0, min(size, records - first)))
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    if first + size < records:
        following = f"http://{host}/{kind}?records={records}&size={size}&latency_ms={latency_ms}&page={page + 1}"
        head.append(f'Link: <{following}>; rel="next"')
    return "\r\n".join([*head, "", ""]).encode() + content, latency_ms / 1_000


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until it is closed."""
    host = "{}:{}".format(*writer.get_extra_info("sockname"))
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            response, seconds = answer(head.split(b" ", 2)[1].decode(), host)
            if seconds:
                await asyncio.sleep(seconds)
            writer.write(response)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()  # the client has gone, or the server ends


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
