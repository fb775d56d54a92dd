"""A server on loopback that speaks the protocol of S3, with its buckets in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

BUCKET = "inbox"


@dataclass(frozen=True)
class S3:
    """A running server with one bucket.

    Attributes:
        url: Where it listens.
        fs: A client, to put files there.
    """

    url: str
    fs: Any

    @property
    def credentials(self) -> dict[str, str]:
        """What a source needs to read it."""
        return {
            "aws_access_key_id": "key-of-tests",
            "aws_secret_access_key": "secret-of-tests",
            "endpoint_url": self.url,
            "region_name": "us-east-1",
        }

    def put(self, name: str, content: str | bytes) -> None:
        self.fs.pipe_file(f"{BUCKET}/{name}", content.encode() if isinstance(content, str) else content)


@contextmanager
def running_s3() -> Iterator[S3]:
    """Start a server, make a bucket, and stop it again."""
    import requests
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        requests.post(f"{url}/moto-api/reset", timeout=30).raise_for_status()  # servers of a process share their buckets
        fs = S3FileSystem(key="key-of-tests", secret="secret-of-tests", endpoint_url=url, use_listings_cache=False)
        fs.mkdir(BUCKET)
        yield S3(url, fs)
    finally:
        server.stop()
