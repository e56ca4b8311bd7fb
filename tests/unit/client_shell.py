"""A shell for tests of the command line: it runs commands in this process."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shelflens.cli.main import run


class Said:
    """What one command said; spaces separate arguments."""

    def __init__(self, capsys: pytest.CaptureFixture[str], line: str) -> None:
        capsys.readouterr()
        self.code = run(line.split())
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Shell = Callable[[str], Said]
