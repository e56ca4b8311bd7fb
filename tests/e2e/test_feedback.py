"""What users say about results, kept for as long as the catalogue keeps it."""

from pathlib import Path

import pytest

from shelflens import Client
from shelflens.errors import NotFound
from tests.e2e.judging import Judged
from tests.e2e.test_cli import Shell
from tests.local_server import LocalServer
from tests.waiting import eventually


def test_what_users_said_becomes_a_dataset_until_their_photos_go(
    server: LocalServer, client: Client, judged: Judged, tmp_path: Path
) -> None:
    client.import_products("said", judged.gallery).raise_for_error()
    client.update_catalog("said", feedback_photo_days=30)
    told = judged.present[:4]
    for photo, sku in told:
        found = client.search("said", photo, top_k=1)
        shown = found.results[0]
        right = shown.sku == sku
        client.record_feedback(
            "said",
            found.feedback_token,
            shown.sku,
            right=right,
            expected="" if right else sku,
            image=shown.image,
            photo=photo,
        )
    assert len(list(client.list_feedback("said"))) == len(told)
    shell, folder = Shell(server.target), tmp_path / "said"
    shell.run("feedback", "export", "said", folder)
    made = client.make_dataset("said", "said", folder / "queries.csv")
    assert (made.state, made.query_count, made.absent_count) == ("SUCCEEDED", len(told), 0)

    def kept() -> list[str]:
        return [each.name for each in client.list_feedback("said") if each.photo_expire_time]

    assert len(kept()) == len(told)
    client.update_catalog("said", feedback_photo_days=0)
    one = next(iter(client.list_feedback("said"))).name
    eventually(lambda: not kept(), 60, "the photos are gone")
    with pytest.raises(NotFound):
        client.download_feedback_photo(one)
