"""Where a database is, and the way in: no secret is ever part of an address that stands in a file or a command."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tallymark.errors import ConfigError

PASSWORD = "TALLYMARK_DATABASE_PASSWORD"
"""The variable of the environment that holds the password, where the driver does not find it by itself."""


def database_url(address: str, where: str) -> URL:
    """The address of a database, with the password of the environment.

    Args:
        address: as SQLAlchemy writes it, without a password.
        where: it stands, for messages.

    Raises:
        ConfigError: this is no such address, or it holds a password.

    Example:
        >>> database_url("postgresql+psycopg://reader@db.clinic.example/marks", "--database").host
        'db.clinic.example'
    """
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise ConfigError(
            "this is no address of a database",
            where=where,
            found=address.split("@")[-1],
            expected="for example postgresql+psycopg://USER@HOST/NAME",
        ) from error
    if url.password:
        raise ConfigError(
            "a password stands in the address, where others see it",
            where=where,
            remedy=f"leave it out, and put it into the environment variable {PASSWORD} or where the driver looks for it"
            " (PostgreSQL: the file ~/.pgpass)",
        )
    password = os.environ.get(PASSWORD)
    return url.set(password=password) if password and url.get_backend_name() != "sqlite" else url


def open_engine(url: URL, **options: Any) -> Engine:
    """An engine for a database.

    Raises:
        ConfigError: there is no such kind of database, or its driver is not installed.
    """
    try:
        return create_engine(url, **options)
    except (NoSuchModuleError, ImportError) as error:
        raise ConfigError(
            "there is no driver for this kind of database",
            where=shown(url),
            found=str(error),
            remedy="install the driver that the address names; for postgresql+psycopg: pip install"
            " 'tallymark[postgresql]'",
        ) from error


def shown(url: URL) -> str:
    """An address without its password.

    Example:
        >>> shown(make_url("postgresql://reader:secret@db/marks"))
        'postgresql://reader:***@db/marks'
    """
    return url.render_as_string(hide_password=True)
