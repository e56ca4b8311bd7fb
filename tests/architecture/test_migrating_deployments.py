"""Records from before models had names of their own serve on as they did."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from services.core.adapters.sql_records import open_postgres, open_sqlite
from services.core.adapters.sql_records.migrating import MIGRATIONS
from services.core.deployment_ports import DeploymentState, ModelRecord
from services.core.record_ports import RecordStore
from tests.servers.postgres import Postgres

NOW = datetime(2026, 1, 1, 12, 30, 15, 678_901, UTC)
LATER = NOW + timedelta(days=1)
OLD, NEW, OUTSIDE = "f" * 64, "d" * 64, "e" * 64
SPEC = {"embedding_dim": 8, "distance": "cosine", "note": "ä🛒"}
WIDER = SPEC | {"embedding_dim": 16}
ELSEWHERE = {"embedding_dim": 3, "distance": "euclidean", "external": True}
# Name -> digest of the model that each catalogue was made with.
CATALOGS = {"aged": OLD, "ending": OLD, "fresh": NEW, "theirs": OUTSIDE}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    """Written at 0004, and opened by what there is now."""
    if request.param == "sqlite":
        file = tmp_path / "records.db"
        _fill(f"sqlite:///{file}")
        store: RecordStore
        with closing(open_sqlite(file)) as store:
            yield store
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.empty_database()
    _fill(url.replace("postgresql:", "postgresql+psycopg:"))
    with closing(open_postgres(url)) as store:
        yield store


def test_every_deployment_is_the_live_one_of_its_catalogue_since_it_was_made(
    records: RecordStore,
) -> None:
    with records.begin() as tx:
        for catalog, digest in CATALOGS.items():
            if catalog == "ending":
                continue
            found = tx.catalogs.deployment(catalog)
            assert tx.deployments.page(catalog, None, 9) == [found]
            assert tx.deployments.targets(catalog) == [found]
            assert (found.number, found.state) == (1, DeploymentState.LIVE)
            assert (found.create_time, found.switch_time) == (NOW, NOW)
            assert (found.model_digest, found.collection) == (digest, f"{catalog}.collection")
            assert (found.storage, found.comparison) == ({}, {})
            assert (found.gate, found.calibration_version) == ({}, 0)
            assert tx.catalogs.photo_days(catalog) == 0
            assert (found.comparing, found.shared) == (0, False)
            assert found.index_time == LATER


def test_the_newest_model_of_a_name_has_it_and_the_others_are_known_by_their_digest(
    records: RecordStore,
) -> None:
    with records.begin() as tx:
        assert tx.models.page("", 9) == [
            ModelRecord("lite", NEW, WIDER, LATER),
            ModelRecord("outside", OUTSIDE, ELSEWHERE, NOW),
        ]
        assert tx.models.spec(OLD) == SPEC
        assert tx.catalogs.get("aged").model == "lite"
        assert tx.catalogs.get("aged").dimension == 8
        assert tx.catalogs.get("theirs").external
        assert set(tx.deployments.serving()) == {OLD, NEW, OUTSIDE}


def test_the_model_that_took_the_name_can_be_deployed_beside_the_old_one(
    records: RecordStore,
) -> None:
    with records.begin(write=True) as tx:
        made = tx.deployments.add("aged", "lite", {"on_disk": True}, LATER)
        assert (made.number, made.model_digest, made.dimension) == (2, NEW, 16)
        tx.deployments.switch("aged", 2, LATER)
        assert tx.catalogs.get("aged").model_digest == NEW
        tx.deployments.switch("aged", 1, LATER)
        assert tx.catalogs.deployment("aged").model_digest == OLD


def test_a_deletion_that_was_under_way_goes_on(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        assert [each.id for each in tx.catalogs.page("", 9)] == ["aged", "fresh", "theirs"]
        assert tx.deployments.targets("ending") == []
        assert tx.catalogs.remove_rows("ending", 9) == 0
        tx.catalogs.create("ending", "", "lite", LATER)
        assert tx.catalogs.deployment("ending").model_digest == NEW


def _fill(url: str) -> None:
    """What a server left there that knew migrations up to 0004."""
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        tables = sa.MetaData()
        tables.reflect(connection, only=["models", "catalogs", "deployments"])
        models, catalogs, deployments = (
            tables.tables[name] for name in ("models", "catalogs", "deployments")
        )
        assert "state" not in deployments.c
        connection.execute(
            models.insert(),
            [
                {"digest": digest, "name": name, "spec": spec, "create_time": _naive(made)}
                for digest, name, spec, made in (
                    (NEW, "lite", WIDER, LATER),
                    (OLD, "lite", SPEC, NOW),
                    (OUTSIDE, "outside", ELSEWHERE, NOW),
                )
            ],
        )
        for name, digest in CATALOGS.items():
            told = {OLD: SPEC, NEW: WIDER, OUTSIDE: ELSEWHERE}[digest]
            times = {"create_time": _naive(NOW), "update_time": _naive(NOW)}
            connection.execute(
                catalogs.insert(),
                {"id": name, "display_name": name, "revision": 7, "deployment": 1,
                 "deleting": name == "ending", "index_time": _naive(LATER)} | times,
            )  # fmt: skip
            connection.execute(
                deployments.insert(),
                {"catalog": name, "number": 1, "model_digest": digest,
                 "model": "outside" if digest == OUTSIDE else "lite",
                 "collection": f"{name}.collection", "dimension": told["embedding_dim"],
                 "distance": told["distance"], "create_time": _naive(NOW)},
            )  # fmt: skip
    engine.dispose()


def _naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)
