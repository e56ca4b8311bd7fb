"""Which errors of a database mean that waiting may help."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import exc

from services.core.adapters.sql_records.failures import postgres_failure
from services.core.domain.errors import ResourceExhausted, Unavailable


def failure(kind: type[exc.DBAPIError], error: Exception, lost: bool = False) -> Exception:
    return postgres_failure(kind("SELECT", {}, error, connection_invalidated=lost))


@pytest.mark.parametrize(
    "error",
    [
        errors.AdminShutdown("ends"),
        errors.CannotConnectNow("starts"),
        errors.TooManyConnections("full"),
        errors.LockNotAvailable("locked"),
        errors.QueryCanceled("long"),
        errors.DeadlockDetected("dead"),
        errors.SerializationFailure("again"),
        psycopg.OperationalError("no route"),
    ],
)
def test_what_passes_is_unavailable(error: Exception) -> None:
    found = failure(exc.OperationalError, error)
    assert isinstance(found, Unavailable)
    assert found.reason == "RECORDS_UNAVAILABLE"


@pytest.mark.parametrize(
    "error", [errors.ReadOnlySqlTransaction("standby"), errors.IdleInTransactionSessionTimeout("")]
)
def test_a_standby_and_an_ended_session_are_unavailable(error: Exception) -> None:
    assert isinstance(failure(exc.InternalError, error), Unavailable)


def test_a_lost_connection_is_unavailable_whatever_the_driver_calls_it() -> None:
    assert isinstance(failure(exc.DatabaseError, psycopg.Error("gone"), lost=True), Unavailable)


def test_a_full_disk_is_exhaustion() -> None:
    found = failure(exc.OperationalError, errors.DiskFull("no space left"))
    assert isinstance(found, ResourceExhausted)
    assert found.reason == "STORAGE_FULL"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (exc.IntegrityError, errors.UniqueViolation("twice")),
        (exc.DataError, errors.UntranslatableCharacter("text")),
        (exc.ProgrammingError, errors.UndefinedTable("none")),
        (exc.OperationalError, errors.StatementTooComplex("too much")),
    ],
)
def test_what_would_fail_again_stays_what_it_is(
    kind: type[exc.DBAPIError], error: Exception
) -> None:
    assert isinstance(failure(kind, error), kind)
