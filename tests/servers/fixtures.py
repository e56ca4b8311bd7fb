"""Fixtures of the servers, one of each for a whole test run."""

from collections.abc import Iterator

import pytest

from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMq
from tests.servers.s3 import MotoS3, RcloneS3, S3Server, real_server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A running broker that all tests share: use queues or virtual hosts of your own."""
    with RabbitMq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running database server that all tests share: take a database of your own."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3_rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3 server that checks signatures: use buckets of your own."""
    with RcloneS3(tmp_path_factory.mktemp("rclone")) as process:
        yield process.server


@pytest.fixture(scope="session")
def s3_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3 server that answers ranges as S3 does: use buckets of your own."""
    with MotoS3(tmp_path_factory.mktemp("moto")) as process:
        yield process.server


@pytest.fixture(scope="session")
def s3_real() -> S3Server:
    """The S3 server that SHELFLENS_TEST_S3_URL names."""
    return real_server()
