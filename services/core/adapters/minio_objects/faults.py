"""What an S3 server answers, as errors of the domain."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from services.core.domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ShelflensError,
    Unavailable,
)

UNAVAILABLE = "OBJECTS_UNAVAILABLE"
DENIED = "OBJECTS_DENIED"
_FULL = frozenset(
    {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"}
)
_CONFLICT = frozenset({"XMinioParentIsObject", "XMinioObjectExistsAsDirectory"})
_KEYS = "check the access key, the secret key, and what its policy allows in this bucket"
_REGION = "check the region, the address and its http or https"
_ADVICE = {
    "InvalidAccessKeyId": "the server does not know the access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "AccessDenied": _KEYS,
    "ExpiredToken": "the access key has ended: make a new one",
    "RequestTimeTooSkewed": "the clocks of this machine and the server differ: set them",
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "Redirect": _REGION,
    "BadRequest": _REGION,
}
_BROKEN = frozenset(  # on the way; a repeat may pass
    {"BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "SlowDown"}
    | {"XAmzContentSHA256Mismatch", "NoSuchUpload"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is an error: HTTP status, S3's code (may be empty), text."""

    status: int
    code: str
    text: str


@contextmanager
def told(bucket: str, key: str = "") -> Iterator[None]:
    """The client's errors about a request for `key`, as errors of the domain."""
    try:
        yield
    except MinioException as error:
        raise to_error(answer_of(error), bucket, key) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise broken(bucket, key, str(error)) from error
    except (ParseError, ValueError) as error:
        raise broken(bucket, key, f"no S3 server answers like that ({error})") from error


def broken(bucket: str, key: str, problem: str) -> Unavailable:
    """The store cannot be reached, or does not do its work."""
    return Unavailable(f"object store, {_place(bucket, key)}: {problem[:300]}", reason=UNAVAILABLE)


def missing(key: str) -> NotFound:
    return NotFound(f"object {key} does not exist", metadata={"key": key})


def no_bucket(bucket: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the object store has no bucket {bucket}: make it, or correct the bucket's name",
        reason="BUCKET_NOT_FOUND",
        metadata={"bucket": bucket},
    )


def answer_of(error: MinioException) -> Answer:
    """What the server said. Some call their XML text/xml, which the client does not read."""
    match error:
        case S3Error():
            return Answer(error.response.status, error.code or "", error.message or "")
        case InvalidResponseError():
            body = error._body or ""
            code = re.search(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>", body)
            text = re.search(r"<Message>([^<]*)</Message>", body)
            return Answer(
                error._code, code[1] if code else "", text[1] if text else body[:100].strip()
            )
        case ServerError():
            return Answer(error.status_code, "", str(error))
    return Answer(500, "", str(error))


def to_error(answer: Answer, bucket: str, key: str) -> ShelflensError:
    """The domain's error of an answer to a request for `key`."""
    status, code = answer.status, answer.code
    if code == "NoSuchBucket":
        return no_bucket(bucket)
    if code in _BROKEN or status >= 500 or status == 429:
        if code in _FULL or status == 507:
            return _full(bucket, key)
        return broken(bucket, key, f"{status} {code} {answer.text}")
    if code in _FULL:
        return _full(bucket, key)
    if code in _CONFLICT:
        return InvalidArgument.field(
            "key", f"{key} is below another key, or another is below it", reason="KEY_CONFLICT"
        )
    if code == "NoSuchKey":  # a 404 of something else is nothing that an object store said
        return missing(key)
    if code in _ADVICE or status in (400, 401, 403, 404, 405):
        advice = _ADVICE.get(code, _KEYS if status in (401, 403) else _REGION)
        return FailedPrecondition(
            f"the object store refuses {_place(bucket, key)} ({status} {code}): {advice}",
            reason=DENIED,
            metadata={"bucket": bucket},
        )
    return broken(bucket, key, f"{status} {code} {answer.text}")


def _full(bucket: str, key: str) -> ResourceExhausted:
    return ResourceExhausted(
        f"{_place(bucket, key)}: no space left in the object store: free some and repeat",
        reason="STORAGE_FULL",
    )


def _place(bucket: str, key: str) -> str:
    return f"{bucket}/{key}" if key else f"bucket {bucket}"
