"""Answers that are the same for all who ask until something changes: packed once, and sent only where they are new."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

_LEVEL = 5
_SHORT = 1_000


@dataclass(frozen=True)
class Payload:
    """A content to be sent. Args: packed: gzip; empty where it is not worth it."""

    content: bytes
    packed: bytes
    tag: str
    media_type: str

    @classmethod
    def of(cls, content: bytes, media_type: str = "application/json") -> Payload:
        packed = gzip.compress(content, _LEVEL, mtime=0) if len(content) > _SHORT else b""
        return cls(content, packed, f'"{hashlib.sha256(content).hexdigest()[:20]}"', media_type)

    def answer(self, request: Request) -> Response:
        """Return the answer to a request, which may have this content already."""
        # "no-cache": it is kept, and asked for with its tag
        headers = {"ETag": self.tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") in (self.tag, f"W/{self.tag}"):
            return Response(status_code=304, headers=headers)
        if self.packed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(self.packed, media_type=self.media_type, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)
