"""Serving a study: on this machine alone, unless it is asked for and made safe."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from tallymark.data.study import Study
from tallymark.errors import ConfigError
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.growing import loaded
from tallymark.marking.image_queue import ImageQueue
from tallymark.marking.settings import MarkingSettings
from tallymark.marking.team import Team
from tallymark.marking.workers import Here, Workers


def serve(study: Study, settings: MarkingSettings, ready: Callable[[str], None], team: Team | None = None) -> None:
    """Serve the marking page until it is stopped from the keyboard.

    Args:
        study: the study.
        settings: how it is marked, and where it is served.
        ready: told the address to open, once the server answers there. For one person it ends in a secret that is good
            for one browser; it stands behind a #, which browsers keep to themselves.
        team: the accounts of those who mark; None: one person, on this machine.

    Raises:
        ConfigError: the port is taken, or the page would be served beyond this machine without accounts and TLS.
        StudyError: see :class:`Desk`.
    """
    users = 0 if team is None else sum(active for _, active in team.users().values())
    origins = settings.origins(users)
    if team is not None and not users:
        raise ConfigError("nobody has an account", remedy="make one: tallymark team add STUDY NAME")
    # One person waits for nobody; of many, some grow while others save.
    growers = Workers()
    if team is not None:
        growers.start(loaded)
    desk = Desk(study, settings, team, Here() if team is None else growers)
    beside, queue = Workers(1), ImageQueue(desk)
    queue.compare(beside)
    token = OneTimeToken()
    secure = origins[0].startswith("https")
    listening = _listen(settings)
    config = uvicorn.Config(
        create_app(desk, token, origins, secure=secure, queue=queue),
        log_level="warning",
        access_log=False,  # addresses of requests say what was marked when
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=3,
        limit_concurrency=500,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    ready(f"{origins[0]}/" if team is not None else f"{origins[0]}/#{token.value}")
    with listening, closing(beside):
        server.run(sockets=[listening])


def _listen(settings: MarkingSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, since asyncio sends small answers at once (TCP_NODELAY) only where it knows that this is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(100)
    except OSError as error:
        listening.close()
        raise ConfigError(
            "the marking page cannot be served here",
            where=f"{settings.host}:{settings.port}",
            found=error.strerror,
            remedy="stop the other 'tallymark mark' of this study, or choose another port with --port; strokes that"
            " wait in a browser belong to the port at which they were drawn",
        ) from error
    return listening
