"""A team: who may mark, who marks what at the moment, and who did what."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import URL, Engine, String, delete, event, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tallymark.data.database import network_file_system
from tallymark.data.database_url import database_url, open_engine, shown
from tallymark.errors import ConfigError, StorageError

Role = Literal["annotator", "reviewer", "admin"]
ROLES: tuple[str, ...] = get_args(Role)
REVIEWERS: tuple[Role, ...] = ("reviewer", "admin")

LEASE_SECONDS = 15 * 60
SHORTEST_PASSWORD = 10
FILE = "team.sqlite"


class _Base(DeclarativeBase):
    pass


class _User(_Base):
    __tablename__ = "user"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    password: Mapped[str] = mapped_column(String(300))  # argon2id, with its salt and cost
    active: Mapped[bool] = mapped_column(default=True)


class _Login(_Base):
    __tablename__ = "login"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the cookie, which is kept nowhere
    user: Mapped[str] = mapped_column(String(100))
    csrf: Mapped[str] = mapped_column(String(100))
    until: Mapped[float]


class _Lease(_Base):
    __tablename__ = "lease"
    case_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    mark_set: Mapped[str] = mapped_column(String(200), primary_key=True)
    user: Mapped[str] = mapped_column(String(100))
    until: Mapped[float]


class _Audit(_Base):
    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[str] = mapped_column(String(40))
    user: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(300))


class Team:
    """The accounts of a study.

    Args:
        url: of the database, as SQLAlchemy writes it, without a password (:func:`database_url`); a path stands for an
            SQLite file.

    Raises:
        ConfigError: the address cannot be used, or its driver is not installed.
        StorageError: it cannot be used.

    Example:
        >>> import tempfile
        >>> team = Team(Path(tempfile.mkdtemp()) / "team.sqlite")
        >>> team.add("reader", "annotator", "a long password")
        >>> team.check("reader", "a long password"), team.check("reader", "another password")
        ('annotator', None)
        >>> team.lease("hand", ["a", "b"], "reader", now=0.0)
        >>> sorted(team.leased("hand", "other", now=1.0))
        ['a', 'b']
    """

    def __init__(self, url: str | Path) -> None:
        self._engine = _engine(url)
        try:
            _Base.metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise StorageError(
                "the accounts cannot be opened",
                where=shown(self._engine.url),
                found=str(error).splitlines()[0][:200],
                remedy="see that the server runs and lets you in",
            ) from error
        self._hasher = PasswordHasher()
        # Verified where there is no such user, so that the time of an answer does not tell.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    @property
    def url(self) -> URL:
        """Where the accounts are, with all that is needed to get in."""
        return self._engine.url

    def add(self, name: str, role: str, password: str, *, by: str | None = None) -> None:
        """Make an account, or give it another role and password.

        Args:
            name: of the account.
            role: one of :data:`ROLES`.
            password: kept as argon2 alone.
            by: the admin who asks for it on the page, where only a new account can be made; None: the command line.

        Raises:
            ConfigError: an unknown role, no name, a short password, or a name that an admin cannot take.
            StorageError: it cannot be written.
        """
        _check_role(role)
        if not name.strip() or name != name.strip() or len(name) > 100 or not name.isprintable():
            raise ConfigError("this is no name of a user", found=repr(name[:100]))
        hashed = self._hashed(password)
        with self._session() as session:
            if by is not None and session.get(_User, name) is not None:
                raise ConfigError("there is such an account already", found=repr(name))
            session.merge(_User(name=name, role=role, password=hashed, active=True))
            session.execute(delete(_Login).where(_Login.user == name))
            _record(session, name, "account", role, by)

    def assign(self, name: str, role: str, *, by: str | None = None) -> None:
        """Give a user another role.

        Raises:
            ConfigError: an unknown role, or there is no such user.
        """
        _check_role(role)
        with self._changing(name) as (session, user):
            user.role = role
            _record(session, name, "role", role, by)

    def renew(self, name: str, password: str, *, by: str | None = None) -> None:
        """Give a user another password; whoever came in with the old one is out.

        Raises:
            ConfigError: a short password, or there is no such user.
        """
        hashed = self._hashed(password)
        with self._changing(name) as (session, user):
            user.password = hashed
            session.execute(delete(_Login).where(_Login.user == name))
            _record(session, name, "password", "", by)

    def disable(self, name: str, *, by: str | None = None) -> None:
        """Let a user in no more; what the user marked stays.

        Raises:
            ConfigError: there is no such user.
        """
        with self._changing(name) as (session, user):
            user.active = False
            session.execute(delete(_Login).where(_Login.user == name))
            _record(session, name, "disabled", "", by)

    def enable(self, name: str, *, by: str | None = None) -> None:
        """Let a user in again, with the password of before.

        Raises:
            ConfigError: there is no such user.
        """
        with self._changing(name) as (session, user):
            user.active = True
            _record(session, name, "enabled", "", by)

    def users(self) -> dict[str, tuple[str, bool]]:
        """Role of every user by name, and whether the user may come in."""
        with self._session() as session:
            users = session.scalars(select(_User).order_by(_User.name))
            return {user.name: (user.role, user.active) for user in users}

    def check(self, name: str, password: str) -> str | None:
        """The role of a user who has this password and may come in, else None."""
        with self._session() as session:
            user = session.get(_User, name)
            known = None if user is None or not user.active else (user.role, user.password)
        try:
            self._hasher.verify(self._nobody if known is None else known[1], password)
        except (Argon2Error, InvalidHashError):
            known = None
        self.record(name, "login" if known else "refused")
        return None if known is None else known[0]

    def begin(self, secret: str, user: str, csrf: str, until: float) -> None:
        """Remember that a browser was let in."""
        with self._session() as session:
            session.execute(delete(_Login).where(_Login.until < time.time()))
            session.add(_Login(digest=_digest(secret), user=user, csrf=csrf, until=until))

    def find(self, secret: str) -> tuple[str, str, str] | None:
        """User, role and word of a browser that was let in, unless too long ago or the user may come in no more."""
        with self._session() as session:
            login = session.get(_Login, _digest(secret))
            if login is None or login.until < time.time():
                return None
            user = session.get(_User, login.user)
            return None if user is None or not user.active else (user.name, user.role, login.csrf)

    def end(self, secret: str) -> None:
        """Let a browser in no more."""
        with self._session() as session:
            session.execute(delete(_Login).where(_Login.digest == _digest(secret)))

    def lease(self, mark_set: str, case_ids: Collection[str], user: str, now: float | None = None) -> None:
        """Give images to a user for a quarter of an hour, unless they are another's."""
        now = time.time() if now is None else now
        try:
            self._take(mark_set, case_ids, user, now)
        except StorageError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            self._take(mark_set, case_ids, user, now)  # someone else was quicker with one of them

    def _take(self, mark_set: str, case_ids: Collection[str], user: str, now: float) -> None:
        with self._session() as session:
            for name in case_ids:
                held = session.get(_Lease, (name, mark_set))
                if held is None or held.user == user or held.until < now:
                    until = now + LEASE_SECONDS
                    session.merge(_Lease(case_id=name, mark_set=mark_set, user=user, until=until))

    def leased(self, mark_set: str, user: str, now: float | None = None) -> set[str]:
        """Images that are others' at the moment."""
        now = time.time() if now is None else now
        wanted = select(_Lease.case_id).where(_Lease.mark_set == mark_set, _Lease.user != user, _Lease.until >= now)
        with self._session() as session:
            return set(session.scalars(wanted))

    def record(self, user: str, action: str, detail: str = "") -> None:
        """Add a line to the audit log."""
        with self._session() as session:
            _record(session, user, action, detail)

    def audit(self) -> list[tuple[str, str, str, str]]:
        """Time, user, action and detail of all that was recorded, oldest first."""
        with self._session() as session:
            lines = session.scalars(select(_Audit).order_by(_Audit.number))
            return [(line.time, line.user, line.action, line.detail) for line in lines]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _hashed(self, password: str) -> str:
        if len(password) < SHORTEST_PASSWORD:
            raise ConfigError(
                "this password is short", found=f"{len(password)} characters", expected=f"at least {SHORTEST_PASSWORD}"
            )
        return self._hasher.hash(password)

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[Session, _User]]:
        """An account that is there, to be changed in one transaction."""
        with self._session() as session:
            user = session.get(_User, name)
            if user is None:
                raise ConfigError("no such user", found=repr(name))
            yield session, user

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            raise StorageError(
                "the accounts cannot be used",
                where=shown(self._engine.url),
                found=str(error).splitlines()[0][:200],
            ) from error


def made_password() -> str:
    """A password by chance, 96 bits, to be shown once.

    Example:
        >>> len(made_password()), made_password() == made_password()
        (16, False)
    """
    return secrets.token_urlsafe(12)


def in_overlap(case_id: str, share: float | int) -> bool:
    """Whether an image is one of those that everybody marks: by chance, and always the same.

    Example:
        >>> in_overlap("a", 0), in_overlap("a", 1)
        (False, True)
    """
    digest = hashlib.sha256(f"overlap {case_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < math.ldexp(share, 32)


def _engine(url: str | Path) -> Engine:
    address = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else database_url(url, "--database")
    engine = open_engine(address, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or ".")
        shared = path.parent.is_dir() and network_file_system(path.parent) is not None

        def prepared(connection: object, _: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute(f"PRAGMA journal_mode = {'DELETE' if shared else 'WAL'}")
            cursor.execute("PRAGMA busy_timeout = 30000")
            cursor.close()

        event.listen(engine, "connect", prepared)
    return engine


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ConfigError("unknown role", where="--role", found=role, expected=", ".join(ROLES))


def _record(session: Session, user: str, action: str, detail: str = "", by: str | None = None) -> None:
    """Add a line to the audit log; what an admin did to another's account is told of the admin."""
    if by is not None:
        user, detail = by, f"{user}: {detail}" if detail else user
    when = datetime.now(UTC).isoformat(timespec="seconds")
    session.add(_Audit(time=when, user=user[:100], action=action, detail=detail[:300]))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
