"""PostgreSQL from the system's package, with its state below one directory."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
import pytest
from psycopg import sql

from services.core.adapters.sql_records import open_postgres
from tests.servers.ports import free_port, wait_for_port
from tests.waiting import eventually

_PROGRAMS = sorted(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name)
)
_ACCOUNT = "postgres"  # the server refuses to run as root
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_MIGRATED = "migrated"
# Each test has few rows: what a power cut would lose is not what is tested.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
}


class Postgres:
    """A server that is started, killed and started again on the same port with the same state.

    Skips the test, saying so, where PostgreSQL is not installed.
    """

    def __init__(self, durable: bool = False) -> None:
        if not _PROGRAMS:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        self._programs = _PROGRAMS[-1]
        self._user = _ACCOUNT if os.getuid() == 0 else None
        # Not below pytest's folder, which another account may not enter.
        self.folder = Path(tempfile.mkdtemp(prefix="shelflens-postgres-"))
        self._settings = _SETTINGS | ({"fsync": "on"} if durable else {})
        self._log = self.folder / "server.log"
        self.port = free_port()
        self._databases = 0
        self._migrated = False
        self.process: subprocess.Popen[bytes] | None = None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_ACCOUNT}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the process whose children are all the others."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Returns when it answers queries."""
        data = self.folder / "data"
        if not data.exists():
            self._run("initdb", "-D", str(data), "-U", _ACCOUNT, "-A", "trust", "--no-sync",
                      "--locale=C.UTF-8", "--encoding=UTF8")  # fmt: skip
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                [
                    str(self._programs / "postgres"),
                    "-D",
                    str(data),
                    f"--port={self.port}",
                    *settings,
                ],
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_for_port(self.port, self.process, self._log, _READY_SECONDS)
        eventually(self._answers, _READY_SECONDS, "PostgreSQL answers")

    def kill(self) -> None:
        """kill -9 of the server and its sessions, as a crash of the machine would be."""
        process, self.process = self.process, None
        if process is not None:
            # Its sessions lead groups of their own, and would hold its shared memory for a while.
            sessions = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait(_STOP_SECONDS)
            for each in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(sessions, _STOP_SECONDS)

    def stop(self) -> None:
        """Ends its sessions, then itself."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(_STOP_SECONDS)

    def restart(self) -> None:
        """Ends every session and comes back with the same state."""
        self.stop()
        self.start()

    def database(self) -> str:
        """The URL of a new database of records, with the schema and nothing else."""
        if not self._migrated:
            self._migrated = True
            self._execute("CREATE DATABASE {}", _MIGRATED)
            open_postgres(self.url(_MIGRATED)).close()
        self._databases += 1
        name = f"test{self._databases}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, _MIGRATED)
        return self.url(name)

    def empty_database(self, options: str = "LOCALE 'C.UTF-8'") -> str:
        """The URL of a new database with nothing in it; `options` of CREATE DATABASE."""
        self._databases += 1
        name = f"empty{self._databases}"
        self._execute(f"CREATE DATABASE {{}} TEMPLATE template0 {options}", name)
        return self.url(name)

    def end_sessions(self, url: str) -> int:
        """Ends every session of a database, as an administrator would; returns how many."""
        statement = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        )
        with psycopg.connect(self.url(), autocommit=True) as connection:
            row = connection.execute(statement, [url.rsplit("/", 1)[1]]).fetchone()
        return int(row[0]) if row else 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=5).close()
            return True
        return False

    def _run(self, program: str, *arguments: str) -> None:
        with self._log.open("ab") as out:
            subprocess.run(
                [str(self._programs / program), *arguments],
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=True,
                timeout=_READY_SECONDS,
            )
