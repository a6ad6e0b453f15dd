"""Serving a study: on this machine alone, unless it is asked for and made safe."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from tallymark.data.study import Study
from tallymark.errors import ConfigError
from tallymark.marking.app import create_app
from tallymark.marking.desk import Desk
from tallymark.marking.gate import OneTimeToken
from tallymark.marking.settings import MarkingSettings


def serve(study: Study, settings: MarkingSettings, ready: Callable[[str], None]) -> None:
    """Serve the marking page until it is stopped from the keyboard.

    Args:
        study: the study.
        settings: how it is marked, and where it is served.
        ready: told the address to open, once the server answers there. The secret in it is good for one browser; it
            stands behind a #, which browsers keep to themselves.

    Raises:
        ConfigError: the port is taken.
        StudyError: see :class:`Desk`.
    """
    desk = Desk(study, settings)
    token = OneTimeToken()
    origins = tuple(
        f"http://{_bracketed(host)}:{settings.port}" for host in dict.fromkeys((settings.host, "localhost"))
    )
    listening = _listen(settings)
    config = uvicorn.Config(
        create_app(desk, token, origins),
        log_level="warning",
        access_log=False,  # addresses of requests say what was marked when
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=3,
        limit_concurrency=500,
    )
    server = uvicorn.Server(config)
    ready(f"{origins[0]}/#{token.value}")
    with listening:
        server.run(sockets=[listening])


def _listen(settings: MarkingSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
