"""What hosts of images do to their clients: a path each, for MisbehavingServer."""

import hashlib
import time

from tests.misbehaving_server import GOOD, Behaviour, Visit, picture

LIMIT = 256 << 10  # bytes of an image that the tests allow


def _slow_headers(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    visit.forever(b"x", 0.05)


def _silent(visit: Visit) -> None:
    visit.server.closed.wait(20)
    visit.open = False


def _drip(visit: Visit) -> None:
    visit.head("200 OK", f"Content-Length: {len(GOOD)}")
    visit.send(GOOD[:5_000])
    visit.forever(b"x", 0.05)


def _endless(visit: Visit) -> None:
    visit.head("200 OK", "Transfer-Encoding: chunked")
    visit.send(f"{len(GOOD):x}\r\n".encode() + GOOD + b"\r\n")
    visit.forever(b"4000\r\n" + bytes(0x4000) + b"\r\n")


def _endless_page(visit: Visit) -> None:
    visit.head("200 OK", "Content-Type: text/html", "Connection: close")
    visit.forever(b"<p>more</p>" * 1_000)


def _says_more_than_asked(visit: Visit) -> None:
    """Sends the answer to a request that nobody has made."""
    visit.answer("200 OK", GOOD)
    visit.answer("200 OK", picture(99))


def _endless_without_length(visit: Visit) -> None:
    visit.head("200 OK", "Connection: close")
    visit.send(GOOD)
    visit.forever(bytes(0x4000))


def _endless_headers(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\n")
    visit.forever(b"X: " + b"x" * 1_500 + b"\r\n")


def _endless_continue(visit: Visit) -> None:
    visit.forever(b"HTTP/1.1 100 Continue\r\n\r\n")


def _bad_chunks(visit: Visit) -> None:
    visit.head("200 OK", "Transfer-Encoding: chunked")
    visit.send(f"{len(GOOD):x}\r\n".encode() + GOOD + b"\r\nno number\r\n")
    visit.open = False


def _torn_chunks(visit: Visit) -> None:
    visit.head("200 OK", "Transfer-Encoding: chunked")
    visit.send(f"{len(GOOD) * 2:x}\r\n".encode() + GOOD)
    visit.open = False


def _reset(visit: Visit) -> None:
    visit.head("200 OK", f"Content-Length: {len(GOOD)}")
    visit.send(GOOD[:6_000])
    time.sleep(0.3)  # a reset discards what the client has not read yet
    visit.reset()


def _not_http(visit: Visit) -> None:
    visit.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    visit.open = False


def _hang_up(visit: Visit) -> None:
    visit.open = False


def _chain(visit: Visit) -> None:
    """/chain?5 takes five redirects."""
    left = int(visit.path.partition("?")[2])
    visit.redirect(f"/chain?{left - 1}" if left > 1 else "/good.jpg")


def _compressed(encoding: str) -> Behaviour:
    bomb = b"\x1f\x8b\x08" + bytes(1_000)
    return lambda visit: visit.answer("200 OK", bomb, f"Content-Encoding: {encoding}")


def _first(status: str, *lines: str) -> Behaviour:
    """Fails once and is fine then."""

    def behave(visit: Visit) -> None:
        if visit.number == 1:
            visit.answer(status, b"not now", *lines)
        else:
            visit.answer("200 OK", GOOD)

    return behave


def _always(status: str, body: bytes = b"", *lines: str) -> Behaviour:
    return lambda visit: visit.answer(status, body, *lines)


def _to(location: str) -> Behaviour:
    return lambda visit: visit.redirect(location)


def _versioned(visit: Visit) -> None:
    """Has an ETag; another picture for each query."""
    body = picture(int(visit.path.partition("?")[2] or 0))
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    if visit.headers.get("if-none-match") == tag:
        visit.answer("304 Not Modified", b"", f"ETag: {tag}")
    else:
        visit.answer("200 OK", body, f"ETag: {tag}")


def _dated(visit: Visit) -> None:
    date = "Sat, 01 Nov 2025 10:00:00 GMT"
    if visit.headers.get("if-modified-since") == date:
        visit.head("304 Not Modified")
    else:
        visit.answer("200 OK", GOOD, f"Last-Modified: {date}")


def _slow_but_good(visit: Visit) -> None:
    time.sleep(0.1)
    visit.answer("200 OK", picture(int(visit.path.partition("?")[2])))


PATHS: dict[str, Behaviour] = {
    "/good.jpg": _always("200 OK", GOOD),
    "/picture": lambda visit: visit.answer("200 OK", picture(int(visit.path.partition("?")[2]))),
    "/slow-but-good": _slow_but_good,
    "/slow-headers": _slow_headers,
    "/drip": _drip,
    "/silent": _silent,
    "/endless": _endless,
    "/endless-without-length": _endless_without_length,
    "/endless-page": _endless_page,
    "/says-more-than-asked": _says_more_than_asked,
    "/endless-headers": _endless_headers,
    "/endless-continue": _endless_continue,
    "/many-headers": _always("200 OK", GOOD, *(f"X-{each}: x" for each in range(150))),
    "/huge-header": _always("200 OK", GOOD, f"X: {'x' * 1_000_000}"),
    "/says-more": lambda visit: visit.answer("200 OK", GOOD, length=len(GOOD) + 100),
    "/says-less": lambda visit: visit.answer("200 OK", GOOD, length=len(GOOD) - 100),
    "/says-huge": lambda visit: visit.answer("200 OK", GOOD, length=10**12),
    "/bad-chunks": _bad_chunks,
    "/torn-chunks": _torn_chunks,
    "/reset": _reset,
    "/not-http": _not_http,
    "/hang-up": _hang_up,
    "/loop": _to("/loop"),
    "/loop-of-two": _to("/loop-back"),
    "/loop-back": _to("/loop-of-two"),
    "/chain": _chain,
    "/to-loopback": lambda visit: visit.redirect(visit.server.url("/good.jpg", "127.0.0.2")),
    "/to-metadata": _to("https://169.254.169.254/latest/meta-data/"),
    "/to-metadata-name": lambda visit: visit.redirect(visit.server.url("/", "metadata.test")),
    "/to-file": _to("file:///etc/passwd"),
    "/to-http": lambda visit: visit.redirect(
        visit.server.url("/good.jpg").replace("https:", "http:")
    ),
    "/to-port": _to("https://shop.test:22/"),
    "/to-password": _to("https://me:secret@shop.test/"),
    "/to-nowhere": _always("302 Found"),
    "/page": _always("200 OK", b"<!doctype html><p>Log in</p>" * 300, "Content-Type: image/jpeg"),
    "/page-that-is-missing": _always("404 Not Found", b"<p>missing</p>" * 9_000),
    "/gif": _always("200 OK", b"GIF89a" + bytes(range(1, 200))),
    "/gzip": _compressed("gzip"),
    "/brotli": _compressed("br"),
    "/start-of-a-jpeg": _always("200 OK", GOOD[:40]),
    "/too-large": _always("200 OK", GOOD + bytes(LIMIT)),
    "/empty": _always("200 OK"),
    "/204": lambda visit: visit.head("204 No Content"),
    "/206": _always("206 Partial Content", GOOD),
    "/304": lambda visit: visit.head("304 Not Modified"),
    "/403": _always("403 Forbidden", b"no"),
    "/410": _always("410 Gone", b"no"),
    "/418": _always("418 I am a teapot", b"no"),
    "/broken": _always("500 Internal Server Error", b"oops"),
    "/broken-once": _first("500 Internal Server Error"),
    "/busy-once": _first("429 Too Many Requests", "Retry-After: 1"),
    "/busy": _always("429 Too Many Requests", b"", "Retry-After: 3600"),
    "/cookie": _always("302 Found", b"", "Location: /good.jpg", "Set-Cookie: a=b; Path=/"),
    "/etag": _versioned,
    "/modified": _dated,
    "/immutable": _always("200 OK", GOOD, "Cache-Control: public, max-age=86400, immutable"),
    "/max-age": _always("200 OK", GOOD, "Cache-Control: public, max-age=86400"),
    "/moved": lambda visit: visit.redirect(f"/etag?{visit.number}"),
}
