"""Who may ask the live page's server for what: checked before anything else sees a request.

The page shows code and logs, and may change what runs. A request has to come from somebody with the token, where there
is one, and, on this machine's own address, by one of its own names: a foreign page whose host name was made to lead to
127.0.0.1 sends another. A change has to come from the page itself.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")  # any port: one may be forwarded
_LARGEST_BODY = 1_000_000
REQUESTED_WITH = "mlpipeline"


@dataclass(frozen=True)
class Guard:
    """Middleware that answers what it does not let through, and gives every answer its security headers.

    Args:
        app: what is guarded.
        policy: the Content-Security-Policy.
        edits: whether anything may be changed.
        token: to be shown with each request; empty for none.
        is_local: the server listens on this machine's own address only.
    """

    app: ASGIApp
    policy: str
    edits: bool
    token: str
    is_local: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._answer(scope) or self.app
            await answer(scope, receive, self._with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, scope: Scope) -> Response | None:
        """Return what is said to a request that is not let through."""
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if self.is_local and not _LOCAL_HOST.fullmatch(headers.get("host", "").lower()):
            return _refusal(403, "this server answers only to localhost and 127.0.0.1")
        if self.token and (answer := self._answer_without_token(scope, headers)):
            return answer
        if scope["method"] in ("GET", "HEAD"):
            return None
        if not self.edits:
            return _refusal(403, "this page is read-only; `mlpipeline ui --edit` allows changes")
        if headers.get("x-requested-with") != REQUESTED_WITH or not _is_same_origin(scope, headers):
            return _refusal(403, "a change is taken only from the page itself")
        # a body in chunks says no length, and may have any
        length = headers.get("content-length", "") if "transfer-encoding" not in headers else ""
        return None if length.isdecimal() and int(length) <= _LARGEST_BODY else _refusal(413, "the request is too long")

    def _answer_without_token(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        cookie = f"mlpipeline_ui_{(scope.get('server') or ('', 0))[1]}"  # cookies are shared by all ports of a host
        if scope["path"] == "/" and given and self._is_token(given):
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(cookie, self.token, httponly=True, samesite="strict")
            return answer
        bearer = headers.get("authorization", "").partition(" ")
        shown = bearer[2].strip() if bearer[0].lower() == "bearer" else _cookie(headers, cookie)
        if shown and self._is_token(shown):
            return None
        return _refusal(401, "open the address that `mlpipeline ui` has printed, with its token; then load this again")

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = f"{self.policy}; frame-ancestors 'none'"
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return sending


def _is_same_origin(scope: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    same = f"{scope['scheme']}://{headers.get('host', '')}"
    return site in ("same-origin", "none") and origin in (None, same)


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


def _refusal(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status)
