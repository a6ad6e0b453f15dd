"""The web application: the files of the page and its interface, behind the gate, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tallymark.errors import ConfigError, StorageError, TallymarkError
from tallymark.marking.accounts import Accounts
from tallymark.marking.coding import CODING_HEADER, Kept
from tallymark.marking.desk import Desk
from tallymark.marking.gate import IDLE_SECONDS, Gate, OneTimeToken, Rate, Session, Sessions, TeamSessions
from tallymark.marking.image_queue import ImageQueue
from tallymark.marking.recording import Recorder
from tallymark.marking.review import everybody, layers
from tallymark.marking.team import REVIEWERS
from tallymark.marking.wire import AccountChange, Ask, Enter, Events, Login, NewAccount

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def create_app(
    desk: Desk,
    token: OneTimeToken,
    origins: tuple[str, ...],
    *,
    secure: bool = False,
    queue: ImageQueue | None = None,
) -> Gate:
    """The application that serves a study.

    Args:
        desk: the study while it is marked.
        token: lets the first browser in.
        origins: the addresses under which it is served, the first the one that is told to people.
        queue: what comes next for whom; None: a plain one.
        secure: it is reached through TLS: the cookie never travels without.
    """
    team = desk.team
    accounts = None if team is None else Accounts(team, TeamSessions(team))
    sessions = Sessions() if accounts is None else accounts.sessions
    cookie = f"tallymark_{desk.settings.port}"
    queue, recorder = queue or ImageQueue(desk), Recorder(desk)
    planes = Kept()
    guesses = Rate(per_second=0.2, burst=10)
    # A whole team may sign in at once from behind one proxy; who guesses is slowed down by the name.
    arrivals = Rate(per_second=1, burst=100)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()
        desk.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _add_errors(app)
    _add_page(app)

    def user(request: Request) -> str:
        session: Session = request.state.session
        return session.user

    def reviews(request: Request) -> bool:
        own: Session = request.state.session
        return own.role in REVIEWERS

    def enter(body: Enter, request: Request) -> Response:
        client = request.client.host if request.client else ""
        if not guesses.allows(client):
            return JSONResponse({"error": "too many attempts; wait a minute"}, 429)
        if team is not None or not token.take(body.token):
            return JSONResponse({"error": "this address was used before; start tallymark mark again"}, 403)
        return let_in(desk.settings.author, "annotator")

    def login(body: Login, request: Request) -> Response:
        client = request.client.host if request.client else ""
        if not arrivals.allows(client) or not guesses.allows(f"user {body.user}"):
            return JSONResponse({"error": "too many attempts; wait a minute"}, 429)
        role = None if team is None else team.check(body.user, body.password)
        if role is None:
            return JSONResponse({"error": "name and password do not fit"}, 403)
        return let_in(body.user, role)

    def logout(request: Request) -> Response:
        sessions.end(request.cookies.get(cookie))
        response = JSONResponse({})
        response.delete_cookie(cookie)
        return response

    def let_in(name: str, role: str) -> Response:
        secret, _ = sessions.begin(name, role)
        response = JSONResponse({})
        # It outlives the browser, not the session: who closes the browser by mistake comes back in.
        response.set_cookie(
            cookie, secret, max_age=IDLE_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
        )
        return response

    def session(request: Request) -> dict[str, Any]:
        own: Session = request.state.session
        return desk.overview() | {"user": own.user, "role": own.role, "team": team is not None, "csrf": own.csrf}

    def following(body: Ask, request: Request) -> dict[str, Any]:
        return (queue.to_review if body.review and reviews(request) else queue.to_mark)(
            user(request), body.count, body.without
        )

    def case(key: str, request: Request) -> dict[str, Any]:
        return desk.open(key, user(request))

    def plane(key: str, number: int) -> Response:
        frame = desk.frames.get(desk.case(key))
        if desk.settings.on_loopback:  # nothing is quicker than no compression where there is no network
            return Response(frame.plane(number), media_type="application/octet-stream")
        coded = planes.get((key, number), lambda: frame.coded(number))
        headers = {"content-encoding": "gzip", CODING_HEADER: "differences"}
        return Response(coded, media_type="application/octet-stream", headers=headers)

    def grown(key: str, number: int, request: Request) -> dict[str, Any]:
        return desk.grown(key, number, user(request))

    def model(key: str, number: int, request: Request) -> dict[str, Any]:
        return desk.model(key, number, user(request))

    def team_view(request: Request) -> Response:
        if not reviews(request):
            return JSONResponse({"error": "this is for reviewers"}, 403)
        return JSONResponse(everybody(desk))

    def by_admin(request: Request, act: Callable[[Accounts, str], dict[str, Any]]) -> Response:
        own: Session = request.state.session
        if accounts is None or own.role != "admin":
            return JSONResponse({"error": "this is for admins"}, 403)
        try:
            return JSONResponse(act(accounts, own.user))
        except ConfigError as error:
            return JSONResponse({"error": error.what}, 409)

    def listed_accounts(request: Request) -> Response:
        return by_admin(request, lambda them, _: them.listed())

    def new_account(body: NewAccount, request: Request) -> Response:
        return by_admin(request, lambda them, admin: them.add(body, admin))

    def changed_account(body: AccountChange, request: Request) -> Response:
        return by_admin(request, lambda them, admin: them.change(body, admin))

    def others(key: str, request: Request) -> Response:
        if not reviews(request):
            return JSONResponse({"error": "this is for reviewers"}, 403)
        return JSONResponse({"layers": layers(desk, desk.case(key), user(request))})

    def marks(body: Events, request: Request) -> dict[str, Any]:
        own: Session = request.state.session
        return recorder.store(body.events, own.user, own.role)

    paths: list[tuple[str, str, Callable[..., Any]]] = [
        ("POST", "/api/enter", enter),
        ("POST", "/api/login", login),
        ("POST", "/api/logout", logout),
        ("GET", "/api/session", session),
        ("GET", "/api/team", team_view),
        ("GET", "/api/accounts", listed_accounts),
        ("POST", "/api/accounts", new_account),
        ("POST", "/api/accounts/change", changed_account),
        ("POST", "/api/next", following),
        ("GET", "/api/cases/{key}", case),
        ("GET", "/api/cases/{key}/planes/{number}", plane),
        ("GET", "/api/cases/{key}/grown/{number}", grown),
        ("GET", "/api/cases/{key}/model/{number}", model),
        ("GET", "/api/cases/{key}/layers", others),
        ("POST", "/api/marks", marks),
    ]
    for method, path, endpoint in paths:
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    return Gate(app, origins=origins, sessions=sessions, cookie=cookie)


def _add_errors(app: FastAPI) -> None:
    """Answers to what goes wrong; they repeat nothing of what was sent and name no file."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, TallymarkError)
        status = 503 if isinstance(error, StorageError) else 404
        return JSONResponse({"error": error.what}, status)

    async def malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": "this request cannot be understood"}, 422)

    app.add_exception_handler(TallymarkError, refused)
    app.add_exception_handler(RequestValidationError, malformed)


def _add_page(app: FastAPI) -> None:
    """The files of the page, read once: no path of a request ever reaches the disk."""
    folder = resources.files("tallymark.marking") / "static"

    def add(path: str, content: bytes, kind: str) -> None:
        def file() -> Response:
            return Response(content, media_type=kind)

        app.add_api_route(path, file, methods=["GET"], response_model=None)

    for item in folder.iterdir():
        suffix = item.name[item.name.rfind(".") :]
        if suffix in _TYPES:
            add("/" if item.name == "index.html" else f"/{item.name}", item.read_bytes(), _TYPES[suffix])
