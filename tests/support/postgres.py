"""A PostgreSQL server for a test run, started from the system's own programs where they are installed."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tallymark.data.database_url import database_url
from tallymark.data.mark_server import MarkServer
from tallymark.data.marks import MarkStore

PASSWORD = "a password of the test run"


class Cluster:
    """A server of its own, reached through a socket in its folder alone."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self.folder = programs, folder
        self._schemas = itertools.count()
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        self._run("initdb", "-D", "data", "-U", "tester", "-A", "scram-sha-256", "--pwfile=password", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses=''"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is what a power cut does to it."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def schema(self) -> str:
        """The address, without the password, of a schema that nobody has used."""
        name = f"study{next(self._schemas)}"
        address = f"postgresql+psycopg://tester@/postgres?host={self.folder}"
        engine = sqlalchemy.create_engine(sqlalchemy.make_url(address).set(password=PASSWORD))
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return f"{address}&options=-csearch_path%3D{name}"

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        # Into a file: a pipe would stay open as long as the server.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command,
                cwd=self.folder,
                user=self._user,
                extra_groups=[] if self._user else None,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )
            if done.returncode:
                said.seek(0)
                raise RuntimeError(said.read())


def programs() -> Path | None:
    """Where the newest installed PostgreSQL has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server; skipped where PostgreSQL is not installed."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="tallymark-pg-"))
    cluster = Cluster(where, folder)
    yield cluster
    cluster.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture
def in_postgres(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Addresses of empty schemas, with the password where users keep it: in the environment."""
    monkeypatch.setenv("TALLYMARK_DATABASE_PASSWORD", PASSWORD)
    return cluster.schema


def opened_store(kind: str, folder: Path, request: pytest.FixtureRequest, **options: Any) -> MarkStore:
    """An empty store of a kind: ``file``, or a database, of SQLite reached through SQLAlchemy or of PostgreSQL."""
    if kind == "file":
        return MarkStore(folder / "marks.sqlite", **options)
    url = f"sqlite:///{folder}/other.sqlite" if kind == "sqlite" else request.getfixturevalue("in_postgres")()
    return MarkStore(MarkServer(database_url(url, "test"), "study"), **options)
