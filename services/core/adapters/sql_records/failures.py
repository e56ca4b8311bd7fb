"""What the databases' errors mean to callers."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from services.core.domain.errors import ResourceExhausted, Unavailable

_DISK_FULL = "53100"
_TOO_COMPLEX = "54"  # the class: another try would fail the same way
# A server that became a standby, and a session that it ended for being idle in a transaction.
_PASSING = frozenset({"25006", "25P03"})


def sqlite_failure(error: DBAPIError) -> Exception:
    """Unavailable or ResourceExhausted where waiting may help, else the error itself."""
    if not isinstance(error, OperationalError):
        return error
    text = str(error.orig)
    return _full(text) if "disk is full" in text else _away(text)


def postgres_failure(error: DBAPIError) -> Exception:
    """As sqlite_failure: lost connections, a server that stops, locks and statements that took too
    long, deadlocks. A transaction that failed while it committed may have been committed."""
    state = getattr(error.orig, "sqlstate", None) or ""
    text = str(error.orig).strip()
    if state == _DISK_FULL:
        return _full(text)
    passing = error.connection_invalidated or state in _PASSING
    operational = isinstance(error, (OperationalError, InterfaceError))
    if passing or (operational and not state.startswith(_TOO_COMPLEX)):
        return _away(text)
    return error


def _full(text: str) -> Exception:
    return ResourceExhausted(f"the records cannot grow: {text}", reason="STORAGE_FULL")


def _away(text: str) -> Exception:
    return Unavailable(f"the records do not answer: {text}", reason="RECORDS_UNAVAILABLE")
