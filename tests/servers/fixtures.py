"""Fixtures of the servers, one of each for a whole test run."""

from collections.abc import Iterator

import pytest

from tests.servers.rabbitmq import RabbitMq


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """A running broker that all tests share: use queues or virtual hosts of your own."""
    with RabbitMq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker
