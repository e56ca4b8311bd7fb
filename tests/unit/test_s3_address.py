"""Addresses of S3 servers, and the client that is made from one."""

from dataclasses import replace
from typing import Any

import pytest

from services.core.adapters.minio_objects import S3Address
from services.core.adapters.minio_objects.address import make_client
from services.core.domain.errors import InvalidArgument

GOOD = S3Address("http://host:9000", "shelflens", "shelf", "shelf-secret")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "127.0.0.1:9000"),
        ("endpoint", "ftp://host"),
        ("endpoint", "http://user:word@host"),
        ("endpoint", "http://host/path"),
        ("endpoint", "http://host:port"),
        ("bucket", "A"),
        ("bucket", "../other"),
        ("access_key", ""),
        ("region", "a b"),
    ],
)
def test_wrong_addresses_are_refused_before_any_request(field: str, value: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(InvalidArgument) as caught:
        replace(GOOD, **changes)
    assert caught.value.reason == "BAD_S3_ADDRESS"
    assert "shelf-secret" not in repr(GOOD)


@pytest.mark.parametrize(
    ("endpoint", "path_style", "begin"),
    [
        ("http://host:9000", True, "http://host:9000/shelflens/a/b?"),
        ("https://[::1]:9000/", True, "https://[::1]:9000/shelflens/a/b?"),
        ("https://host", False, "https://shelflens.host/a/b?"),
        ("https://s3.eu-west-1.amazonaws.com", True, "https://s3.eu-west-1.amazonaws.com/shelf"),
    ],
)
def test_the_bucket_is_in_the_path_or_in_the_host(
    endpoint: str, path_style: bool, begin: str
) -> None:
    address = replace(GOOD, endpoint=endpoint, path_style=path_style, region="eu-west-1")
    url = make_client(address).presigned_get_object("shelflens", "a/b")
    assert url.startswith(begin)
    assert "shelflens" in url
