"""Dead letters with both clients and on the command line."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shelflens import AsyncClient, Client
from shelflens.cli.main import run
from shelflens.cli.safe_text import safe_text
from shelflens.errors import FailedPrecondition, NotFound
from shelflens.values import to_json
from tests.unit.test_client_server import MemoryServer, serving


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def target(server: MemoryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(server) as target:
        monkeypatch.setenv("SHELFLENS_TARGET", target)
        yield target


class Said:
    """What one command said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.code = run(["deadletters", *arguments])
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def shell(target: str, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Said(capsys, *arguments)


def test_letters_are_listed_read_retried_and_deleted(target: str, server: MemoryServer) -> None:
    names = [server.add_letter(f"l{n}", reason="REJECTED" if n else "EXPIRED") for n in range(5)]
    server.letters[names[1]].headers["id"] = "t1"
    server.letters[names[1]].body = b"\x00\xff"
    with Client(target, timeout=10) as client:
        assert [each.name for each in client.list_dead_letters()] == names
        assert len(list(client.list_dead_letters(reason="REJECTED"))) == 4
        assert list(client.list_dead_letters(queue="none")) == []
        found = client.get_dead_letter("l1")
        assert (found.body, found.headers, found.queue) == (b"\x00\xff", {"id": "t1"}, "index")
        assert to_json(found)["body"] == base64.b64encode(found.body).decode()
        assert client.retry_dead_letter("l1") == "index"
        client.delete_dead_letter(names[2])
        with pytest.raises(NotFound):
            client.get_dead_letter(names[2])
    assert server.retried == [(names[1], False)]


async def test_the_async_client_does_the_same(target: str, server: MemoryServer) -> None:
    name = server.add_letter("l1", reason="UNDECODABLE")
    async with AsyncClient(target, timeout=10) as aio:
        assert [each.name async for each in aio.list_dead_letters()] == [name]
        with pytest.raises(FailedPrecondition):
            await aio.retry_dead_letter("l1")
        assert await aio.retry_dead_letter("l1", force=True) == "index"


def test_the_list_has_a_line_a_letter(shell: Any, server: MemoryServer) -> None:
    assert (shell("list").out, shell("list").err) == ("", "no dead letters\n")
    assert shell("list", "--json").json == []
    server.add_letter("l1", operation="operations/o", size_bytes=7)
    server.add_letter("l2", reason="EXPIRED", queue="control", task="")
    assert shell("list", "--queue", "index").out.split("\t") == [
        "deadLetters/l1", "REJECTED", "index", "indexing.shard", "operations/o", "7",
        "2023-11-14T22:13:20Z\n",
    ]  # fmt: skip
    (found,) = shell("list", "--reason", "EXPIRED", "--json").json
    assert (found["name"], found["queue"]) == ("deadLetters/l2", "control")


def test_bodies_and_headers_are_shown_as_safe_text(shell: Any, server: MemoryServer) -> None:
    evil = "\x1b[2J\x9b31m\u202e\x07ä"
    body = b"\x1b]0;owned\x07\nline\xff\x80"
    server.add_letter("l1", detail=evil, task=evil, body=body, headers={evil: evil})
    for said in (shell("show", "l1"), shell("list"), shell("show", "l1", "--json")):
        assert said.code == 0
        assert all(each.isprintable() or each in "\n\t" for each in said.out)
    shown = shell("show", "l1").out
    assert "detail: \\x1b[2J\\x9b31m\\u202e\\x07ä\n" in shown
    assert "body: \\x1b]0;owned\\x07\nline\\xff\\x80\n" in shown
    as_json = shell("show", "l1", "--json").json
    assert base64.b64decode(as_json["body_base64"]) == body


def test_a_long_body_is_cut_for_people(shell: Any, server: MemoryServer) -> None:
    server.add_letter("l1", body=b"x" * 9_000, size_bytes=9_000)
    said = shell("show", "l1")
    assert said.out.count("x") < 5_000
    assert "9000 bytes in all" in said.err


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_letters_are_chosen_by_name_by_reason_or_all(
    shell: Any, server: MemoryServer, command: str
) -> None:
    for n in range(6):
        server.add_letter(f"l{n}", reason="EXPIRED" if n % 2 else "REJECTED")
    said = shell(command, "l0", "deadLetters/l1")
    assert (said.code, said.out.count("\n")) == (0, 2)
    assert shell(command, "--reason", "EXPIRED").code == 0
    assert sorted(server.letters) == ["deadLetters/l2", "deadLetters/l4"]
    assert len(shell(command, "--all", "--json").json) == 2
    assert server.letters == {}
    assert shell(command, "--all").err == "no dead letters\n"
    assert bool(server.retried) == (command == "retry")


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("choice", [[], ["l1", "--all"], ["--all", "--reason", "EXPIRED"]])
def test_letters_must_be_chosen_in_one_way(
    shell: Any, server: MemoryServer, command: str, choice: list[str]
) -> None:
    server.add_letter("l1")
    said = shell(command, *choice)
    assert said.code == 2
    assert said.err.startswith("error: LETTERS_MISSING: ")
    assert len(server.letters) == 1


def test_what_cannot_be_retried_does_not_stop_the_others(shell: Any, server: MemoryServer) -> None:
    bad = server.add_letter("l1", reason="UNDECODABLE")
    good = server.add_letter("l2")
    said = shell("retry", "--all")
    assert (said.code, said.out) == (1, f"{good}\tback on index\n")
    assert said.err == f"{bad}: RETRY_POINTLESS: it would die again\n1 retried, 1 failed\n"
    said = shell("retry", "l1", "none", "--json")
    assert said.code == 1
    assert [each["error"]["reason"] for each in said.json] == [
        "RETRY_POINTLESS",
        "LETTER_NOT_FOUND",
    ]
    assert shell("retry", "l1", "--force").code == 0
    assert server.retried[-1] == (bad, True)


def test_one_letter_that_is_not_there_is_not_found(shell: Any) -> None:
    assert (shell("show", "none").code, shell("retry", "none").code) == (3, 3)
    assert shell("drop", "none").err.startswith("error: LETTER_NOT_FOUND: ")


def test_safe_text_keeps_words_and_spells_out_the_rest() -> None:
    assert safe_text("Tee 🛒 für 2 €") == "Tee 🛒 für 2 €"
    assert safe_text("a\nb", lines=True) == "a\nb"
    assert safe_text("a\nb\r\x00") == "a\\nb\\r\\x00"
    assert safe_text(b"\xed\xa0\x80") == "\\xed\\xa0\\x80"
    assert safe_text("\ud800\u2028") == "\\ud800\\u2028"
