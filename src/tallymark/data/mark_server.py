"""Marks on a database server, reached through SQLAlchemy: the same tables and promises as in the file.

A transaction is committed before a mark is acknowledged, one writer works at a time (a row that it locks), so that the
numbers of the rows tell their order, and on PostgreSQL the table itself refuses to change or delete a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    DDL,
    URL,
    BigInteger,
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    NullPool,
    String,
    Table,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy import Connection as Inside
from sqlalchemy.exc import SQLAlchemyError

from tallymark.data.database_url import open_engine, shown
from tallymark.data.mark_tables import Rows
from tallymark.errors import ReadError, StorageError, StudyError

_VERSION = 3

_tables = MetaData()

_store = Table(
    "mark_store",
    _tables,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("study", String(200), nullable=False),
)

Table(
    "mark_set",
    _tables,
    Column("name", String(200), primary_key=True),
    Column("origin", String(20), CheckConstraint("origin IN ('real', 'simulated')"), nullable=False),
)

_mark = Table(
    "mark",
    _tables,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("uuid", String(100), nullable=False, unique=True),
    Column("time", String(40), nullable=False),
    Column("author", String(200), nullable=False),
    Column("mark_set", String(200), ForeignKey("mark_set.name"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("case_id", String(400)),
    Column("structure", String(200)),
    Column("payload", LargeBinary(2**32 - 1)),  # the length counts for MySQL alone, whose plain BLOB is small
    Index("mark_by_case", "mark_set", "case_id", "number"),
    Index("mark_by_kind", "mark_set", "kind", "case_id", "number"),
)

for _statement in (
    """CREATE OR REPLACE FUNCTION mark_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'marks are append-only'; END $$""",
    """CREATE TRIGGER mark_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mark
    FOR EACH STATEMENT EXECUTE FUNCTION mark_is_append_only()""",
):
    _guard: DDL = DDL(_statement)  # type: ignore[no-untyped-call]
    event.listen(_mark, "after_create", _guard.execute_if(dialect="postgresql"))

_BYTES = {
    "postgresql": "convert_to(m.uuid, 'UTF8')",
    "mysql": "CAST(m.uuid AS BINARY)",
    "mariadb": "CAST(m.uuid AS BINARY)",
    "mssql": "CAST(m.uuid AS VARBINARY(100))",
    "oracle": "utl_raw.cast_to_raw(m.uuid)",
}


class MarkServer:
    """The tables of marks in a database; made at the first mark.

    Args:
        url: of the database, with all that is needed to get in.
        study: name of the study. A database (or a schema of it) holds the marks of one study, and says so where another
            asks.

    Attributes:
        place: the address without its password.
        about: the condition that row ``r`` takes back, or brings back, the mark ``m``.

    Raises:
        ConfigError: its driver is not installed.

    Example:
        >>> from sqlalchemy import make_url
        >>> server = MarkServer(make_url("sqlite://"), "busi")
        >>> server.place, server.rows("SELECT 1 FROM mark")
        ('sqlite://', [])
    """

    def __init__(self, url: URL, study: str) -> None:
        self.place = shown(url)
        self._url = url
        self._study = study
        self._engine = open_engine(url, poolclass=NullPool)
        self.about = f"r.payload = {_BYTES.get(self._engine.dialect.name, 'CAST(m.uuid AS BLOB)')}"
        self._batch = threading.local()
        self._made = False

    @contextmanager
    def writing(self) -> Iterator[_Connection]:
        """The transaction that is under way in this thread, or one of its own; one at a time writes.

        Raises:
            StorageError: nothing of the transaction is stored.
            ReadError: the tables are of another version.
            StudyError: they are those of another study.
        """
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        self._make()
        with self._explained(), self._engine.begin() as connection:
            # Whoever holds this row writes: numbers are given in the order in which they are committed.
            self._check(connection.execute(select(_store).with_for_update()).one())
            self._batch.connection = _Connection(connection)
            try:
                yield self._batch.connection
            finally:
                self._batch.connection = None

    @contextmanager
    def reading(self) -> Iterator[_Connection | None]:
        """A connection that sees what the transaction under way in this thread has written; None: no marks yet.

        Raises:
            ReadError: the tables are of another version.
            StudyError: they are those of another study.
            StorageError: the server does not answer.
        """
        current = getattr(self._batch, "connection", None)
        if current is not None:
            yield current
            return
        with self._explained(), self._engine.connect() as connection:
            if not self._made and not self._there(connection):
                yield None
                return
            yield _Connection(connection)

    def hold(self) -> _Pool:
        """Keep some connections open until the pool that is returned is closed."""
        pooled = open_engine(self._url, pool_pre_ping=True, pool_size=8, max_overflow=32)
        return _Pool(self, pooled)

    def rows(self, query: str, **values: object) -> list[Any]:
        """All rows that a query finds; none if there are no marks yet."""
        with self.reading() as connection:
            return [] if connection is None else [tuple(row) for row in connection.execute(query, values).fetchall()]

    def use(self, engine: Engine | None) -> None:
        """Connect through another engine; None: one connection for each transaction."""
        self._engine = engine or open_engine(self._url, poolclass=NullPool)

    def _make(self) -> None:
        if self._made:
            return
        with self._explained(), self._engine.connect() as connection:
            there = self._there(connection)
        if not there:
            # Of two that make them at once, one is told that they are there, and finds them whole.
            try:
                self._create()
            except StorageError:
                with self._explained(), self._engine.connect() as connection:
                    if not self._there(connection):
                        raise
        self._made = True

    def _create(self) -> None:
        with self._explained(), self._engine.begin() as connection:
            _tables.create_all(connection)
            connection.execute(insert(_store).values(version=_VERSION, study=self._study))

    def _there(self, connection: Inside) -> bool:
        """Whether the tables are there, and are those of this study."""
        if not inspect(connection).has_table(_store.name):
            return False
        found = connection.execute(select(_store)).first()
        if found is None:
            return False
        self._check(found)
        self._made = True
        return True

    def _check(self, found: Any) -> None:
        if found.version != _VERSION:
            raise ReadError(
                "this database has another format",
                where=self.place,
                found=found.version,
                expected=_VERSION,
                remedy="use the version of tallymark that made it",
            )
        if found.study != self._study:
            raise StudyError(
                "this database holds the marks of another study",
                where=self.place,
                found=repr(found.study),
                expected=repr(self._study),
                remedy="give each study a database of its own, or a schema: ?options=-csearch_path%3DNAME",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StorageError(
                "the database of the marks cannot be used",
                where=self.place,
                found=str(error).splitlines()[0][:200],
                remedy="see that the server runs and lets you in; nothing of this was stored",
            ) from error


class _Connection:
    """Statements as text, inside of a transaction of SQLAlchemy."""

    def __init__(self, connection: Inside) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Mapping[str, object], /) -> Rows:
        """Run a statement; values are named ``:name`` in it."""
        return self._connection.execute(text(statement), dict(values))


class _Pool:
    """Connections that a server's tables are reached through until it is closed."""

    def __init__(self, server: MarkServer, engine: Engine) -> None:
        self._server, self._engine = server, engine
        server.use(engine)

    def close(self) -> None:
        """Close them all."""
        self._server.use(None)
        self._engine.dispose()
