"""Which addresses, references and settings are acceptable for fetching at all."""

import ipaddress
from email.message import Message
from pathlib import Path

import pytest

from services.core.adapters.file_objects import FileObjects
from services.core.domain.errors import InvalidArgument
from services.ingestion.fetching.addresses import check_addresses, may_connect
from services.ingestion.fetching.answers import (
    check_status,
    fresh_seconds,
    retry_after,
    validators_of,
)
from services.ingestion.fetching.fetcher import open_fetcher
from services.ingestion.fetching.limits import FetchLimits, parse_networks, parse_ports
from services.ingestion.fetching.refusals import Refused
from services.ingestion.fetching.urls import parse_url, redirected

PORTS = frozenset({80, 443})


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "::", "10.0.0.1", "172.31.255.255",
        "192.168.1.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "fe80::1",
        "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "fec0::1", "192.0.0.192", "168.63.129.16",
        "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
        "ff02::1", "240.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
        "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378::", "2001:db8::1", "3fff::1", "100::1", "4000::1", "no address", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_forbidden(address: str) -> None:
    assert not may_connect(address, ())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_allowed_however_it_is_written(address: str) -> None:
    assert may_connect(address, ())


def test_a_network_of_the_settings_is_allowed_and_its_neighbour_is_not() -> None:
    allowed = parse_networks("10.1.0.0/16, fd12::/16")
    assert may_connect("10.1.2.3", allowed)
    assert may_connect("::ffff:10.1.2.3", allowed)
    assert may_connect("fd12::1", allowed)
    assert not may_connect("10.2.0.1", allowed)


def test_one_private_address_among_public_ones_forbids_the_name() -> None:
    with pytest.raises(Refused, match=r"IMAGE_URL_FORBIDDEN_ADDRESS: 10\.0\.0\.1"):
        check_addresses(["8.8.8.8", "10.0.0.1"], ())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://Shop.Example/a.jpg#part", "https://shop.example/a.jpg"),
        ("  HTTPS://shop.example  ", "https://shop.example/"),
        ("https://shop.example.:443/ä b.jpg?x=ü&y=%20", "https://shop.example/%C3%A4%20b.jpg?x=%C3%BC&y=%20"),
        ("http://shop.example:443/", "http://shop.example:443/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2606:4700:0::1]/x", "https://[2606:4700::1]/x"),
        ("https://my_shop.example/\ud800", "https://my_shop.example/%3F"),
    ],
)  # fmt: skip
def test_an_address_is_written_in_one_way(text: str, written: str) -> None:
    assert str(parse_url(text, PORTS)) == written


@pytest.mark.parametrize(
    "text",
    [
        "", "a.jpg", "//shop.example/a", "ftp://shop.example/", "file:///etc/passwd",
        "data:image/png;base64,AA", "https://", "https:///a", "https://me@shop.example/",
        "https://me:pw@shop.example/", "https://shop.example:22/", "https://shop.example:x/",
        "https://shop.example:99999/", "https://shop.example\\@evil.example/", "https://a\tb/",
        "https://shop.example/\r\nHost: x", "https://shop .example/", "https://shop%2eexample/",
        "https://[::1/", "https://[zz]/", "https://..example/", "https://" + "a" * 300,
        "https://shop.example/" + "a" * 9_000, "https://" + "a." * 130 + "-" * 64,
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_invalid(text: str) -> None:
    with pytest.raises(Refused) as raised:
        parse_url(text, PORTS)
    assert raised.value.reason == "IMAGE_URL_INVALID"


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("b.jpg", "https://shop.example/a/b.jpg"),
        ("/b.jpg", "https://shop.example/b.jpg"),
        ("//cdn.example/b", "https://cdn.example/b"),
        ("/b\xc3\xa4.jpg", "https://shop.example/b%C3%A4.jpg"),  # UTF-8, read as Latin-1
        ("https://shop.example:443/b", "https://shop.example/b"),
    ],
)
def test_a_redirect_may_be_relative(location: str, to: str) -> None:
    assert str(redirected(parse_url("https://shop.example/a/x", PORTS), location, PORTS)) == to


@pytest.mark.parametrize(
    "location", [None, "", "http://shop.example/", "file:///x", "javascript:1"]
)
def test_a_redirect_to_less_than_https_is_refused(location: str | None) -> None:
    with pytest.raises(Refused) as raised:
        redirected(parse_url("https://shop.example/", PORTS), location, PORTS)
    assert raised.value.reason == "IMAGE_URL_BAD_REDIRECT"


def test_a_redirect_from_http_to_https_is_followed() -> None:
    url = parse_url("http://shop.example/", PORTS)
    assert str(redirected(url, "https://shop.example/", PORTS)) == "https://shop.example/"


def _headers(**values: str) -> Message:
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def test_validators_that_could_smuggle_a_header_are_dropped() -> None:
    date = "Sat, 01 Nov 2025 10:00:00 GMT"
    said = validators_of(_headers(ETag='W/"abc"', Last_Modified=date))
    assert (said.etag, said.last_modified) == ('W/"abc"', date)
    for etag in ('"a\r\n X: y"', "abc", '"' + "a" * 300 + '"', '"ä"'):
        assert validators_of(_headers(ETag=etag)).headers() == {}
    for modified in ("yesterday", "Sat, 01 Nov\r\n 2025 10:00:00 GMT", "2025-11-01T10:00:00Z"):
        assert validators_of(_headers(Last_Modified=modified)).headers() == {}


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("public, max-age=600, immutable", 600.0),
        ("immutable, max-age=99999999", 1_000.0),
        ("max-age=600", 0.0),
        ("immutable", 0.0),
        ("no-cache, max-age=600, immutable", 0.0),
        ("no-store, max-age=600, immutable", 0.0),
        ("max-age=-5, immutable", 0.0),
    ],
)
def test_only_a_promise_not_to_change_spares_the_question(control: str, seconds: float) -> None:
    assert fresh_seconds(_headers(Cache_Control=control), 1_000.0) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("", None), ("soon", None), ("-1", None), ("9" * 30, None)],
)
def test_retry_after_is_seconds(text: str, seconds: float | None) -> None:
    assert retry_after(_headers(Retry_After=text)) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert retry_after(_headers(Retry_After="Sat, 01 Nov 2025 10:00:00 GMT")) == 0.0
    later = retry_after(_headers(Retry_After="Fri, 01 Nov 2999 10:00:00 GMT"))
    assert later is not None
    assert later > 1e9


def test_every_status_but_two_is_refused_with_a_reason() -> None:
    for status in {*range(200, 600)} - {200, 203}:
        with pytest.raises(Refused, match=r"^IMAGE_"):
            check_status(status, Message())
    check_status(200, Message())
    check_status(203, _headers(Content_Encoding="identity"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "internal", "10.0.0.0/33"])
def test_a_network_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("/")[0]):
        parse_networks(text)


@pytest.mark.parametrize("text", ["", "0", "70000", "https"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|int"):
        parse_ports(text)


def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "missing.pem"):
        with pytest.raises(InvalidArgument, match=name):
            open_fetcher(FileObjects(tmp_path), FetchLimits(), ca_file=str(tmp_path / name))


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FetchLimits(connections=0)
    with pytest.raises(ValueError, match="user agent"):
        FetchLimits(user_agent="a\r\nX: y")
    assert FetchLimits(allowed_networks=(ipaddress.ip_network("10.0.0.0/8"),)).ports == PORTS
