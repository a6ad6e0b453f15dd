"""Who gets in: every request passes here before anything looks at it.

A page on this machine is reachable by every other page that the same browser shows. So a request must name this server
(Host; else another site's name could be made to point here), must come from this page (Origin, Sec-Fetch-Site), must
carry the cookie of a session, and to change anything also the word that only this page can read (CSRF).
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from tallymark.marking.team import Team

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CSRF_HEADER = "x-tallymark-csrf"
MOST_BYTES = 4 << 20
_OPEN = ("/api/enter", "/api/login")
IDLE_SECONDS = 12 * 3600

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


@dataclass
class Session:
    """A browser that was let in.

    Args:
        user: who it is.
        role: what the user may do.
        csrf: the word that only the page can read.
        seen: when it was last heard of, in seconds of a monotonic clock.
    """

    user: str
    role: str
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    seen: float = field(default_factory=time.monotonic)


class Sessions:
    """The sessions of this process; the cookie is the only copy of a session's secret."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._guard = threading.Lock()

    def begin(self, user: str, role: str = "annotator") -> tuple[str, Session]:
        """Let a user in; the secret is for the cookie."""
        secret, session = secrets.token_urlsafe(32), Session(user, role)
        with self._guard:
            self._sessions[secret] = session
        return secret, session

    def find(self, secret: str | None) -> Session | None:
        """The session of a cookie, unless it has idled for twelve hours."""
        with self._guard:
            session = self._sessions.get(secret or "")
            if session is None:
                return None
            if time.monotonic() - session.seen > IDLE_SECONDS:
                del self._sessions[secret or ""]
                return None
            session.seen = time.monotonic()
            return session

    def end(self, secret: str | None) -> None:
        """Forget a session."""
        with self._guard:
            self._sessions.pop(secret or "", None)


class TeamSessions(Sessions):
    """Sessions that outlive the server, and end when the account does.

    Args:
        team: the accounts; asked at most every half minute for each browser.
    """

    _CHECK_SECONDS = 30

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team
        self._checked: dict[str, float] = {}

    def begin(self, user: str, role: str = "annotator") -> tuple[str, Session]:
        """Let a user in; the secret is for the cookie."""
        secret, session = super().begin(user, role)
        self._team.begin(secret, user, session.csrf, time.time() + IDLE_SECONDS)
        return secret, session

    def find(self, secret: str | None) -> Session | None:
        """The session of a cookie, also of one that another server process gave."""
        if not secret:
            return None
        known = super().find(secret)
        now = time.monotonic()
        if known is not None and now - self._checked.get(secret, -self._CHECK_SECONDS) < self._CHECK_SECONDS:
            return known
        checked = self._checked  # what was found before a recheck is not taken for what is found after it
        found = self._team.find(secret)
        if found is None:
            super().end(secret)
            return None
        checked[secret] = now
        user, role, csrf = found
        session = Session(user, role, csrf)
        with self._guard:
            self._sessions[secret] = session
        return session

    def recheck(self) -> None:
        """Accounts have changed: ask them again at the next request of every browser."""
        self._checked = {}

    def end(self, secret: str | None) -> None:
        """Forget a session everywhere."""
        super().end(secret)
        self._team.end(secret or "")


class OneTimeToken:
    """A secret that lets one browser in, once.

    Example:
        >>> token = OneTimeToken()
        >>> token.take("guess"), token.take(token.value), token.take(token.value)
        (False, True, False)
    """

    def __init__(self) -> None:
        self.value = secrets.token_urlsafe(32)
        self._unused = True
        self._guard = threading.Lock()

    def take(self, offered: str) -> bool:
        """Whether this is the token and nobody has used it before."""
        with self._guard:
            right = self._unused and hmac.compare_digest(offered.encode(), self.value.encode())
            self._unused = self._unused and not right
            return right


class Rate:
    """How often something may happen, by name (a token bucket).

    Args:
        per_second: in the long run.
        burst: at once.

    Example:
        >>> rate = Rate(per_second=1, burst=2, clock=lambda: 0.0)
        >>> [rate.allows("a") for _ in range(3)], rate.allows("b")
        ([True, True, False], True)
    """

    def __init__(
        self, per_second: float | int, burst: float | int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._guard = threading.Lock()

    def allows(self, name: str) -> bool:
        """Whether it may happen now; counts it if so."""
        with self._guard:
            now = self._clock()
            left, then = self._buckets.get(name, (float(self._burst), now))
            left = min(float(self._burst), left + (now - then) * self._per_second)
            if len(self._buckets) > 10_000:  # whoever invents names does not fill the memory
                self._buckets.clear()
            self._buckets[name] = (left - 1 if left >= 1 else left, now)
            return left >= 1


class Gate:
    """The ASGI application around the pages and their interface.

    Args:
        app: what is let through to; finds the session in the scope's state.
        origins: the addresses under which the page is served, ``http://127.0.0.1:8700``.
        sessions: who is in.
        cookie: name of the cookie.
        rate: of requests by client.
    """

    def __init__(
        self, app: App, *, origins: Collection[str], sessions: Sessions, cookie: str, rate: Rate | None = None
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(origin.split("://", 1)[1] for origin in origins)
        self._sessions = sessions
        self._cookie = cookie
        self._rate = rate or Rate(per_second=100, burst=400)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        send = _with_headers(send)
        refusal = self._refusal(scope)
        if refusal is not None:
            status, why = refusal
            answer = {"error": why}
            if status == 401 and isinstance(self._sessions, TeamSessions):
                answer = {"error": "you are signed out: load this page again and sign in", "door": "login"}
            await JSONResponse(answer, status)(scope, receive, send)
            return
        await self._app(scope, _limited(receive), send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        request = Request(scope)
        headers = request.headers
        client = request.client.host if request.client else ""
        if headers.getlist("host") != [headers.get("host")] or headers.get("host") not in self._hosts:
            return 421, "this server has another name"
        session = self._sessions.find(request.cookies.get(self._cookie))
        # Behind a proxy all come from one address.
        if not self._rate.allows(f"user {session.user}" if session else client):
            return 429, "too many requests"
        reading = request.method in ("GET", "HEAD")
        if not reading and request.method != "POST":
            return 405, "only GET and POST"
        origin = headers.get("origin")
        if (origin is not None or not reading) and origin not in self._origins:
            return 403, "the request comes from another page"
        inside = scope["path"].startswith("/api/")
        if inside and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "the request comes from another page"
        if not reading and not headers.get("content-type", "").startswith("application/json"):
            return 415, "send JSON"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, "the request is too large"
        if not inside or scope["path"] in _OPEN:
            return None
        if session is None:
            return 401, "sign in, or open the address that the command line printed"
        if not reading and not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), session.csrf.encode()):
            return 403, "the session has another word"
        scope.setdefault("state", {})["session"] = session
        return None


class TooLargeError(Exception):
    """More came than was announced or is allowed."""


def _limited(receive: Receive) -> Receive:
    """Counts the body, whatever length was announced."""
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > MOST_BYTES:
            raise TooLargeError
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            added = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in own]
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return with_headers
