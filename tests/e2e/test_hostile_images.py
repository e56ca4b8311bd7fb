"""Every kind of hostile image in one import, with a good one after each."""

import csv

import psutil
import pytest

from shelflens import Client
from shelflens.errors import InvalidArgument
from shelflens.values import Operation
from tests.hostile.folders import HostileFolder, good_picture, write_good_and_hostile
from tests.hostile.images import IMAGES
from tests.hostile.kinds import ACCEPTED
from tests.local_server import LocalServer

CATALOG = "hostile-images"
_SEED = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HostileFolder:
    return write_good_and_hostile(tmp_path_factory.mktemp("hostile") / "root", IMAGES, _SEED)


@pytest.fixture(scope="module")
def imported(client: Client, folder: HostileFolder) -> Operation:
    return client.import_products(CATALOG, folder.manifest)


def test_every_row_has_the_verdict_that_its_file_deserves(
    imported: Operation, folder: HostileFolder, server: LocalServer
) -> None:
    report = server.data / "objects" / imported.errors_uri
    with report.open(newline="", encoding="utf-8") as lines:
        found = {int(line["row"]): line["reason"] for line in csv.DictReader(lines)}
    assert found == {row: verdict for row, verdict in folder.expected.items() if verdict}


def test_every_row_is_accounted_for(imported: Operation, folder: HostileFolder) -> None:
    counts = imported.counts
    refused = sum(verdict != ACCEPTED for verdict in folder.expected.values())
    assert imported.state == "SUCCEEDED"
    assert len(IMAGES) >= 60
    assert counts.rows_read == len(folder.expected) == 2 * len(IMAGES)
    assert (counts.rows_accepted, counts.rows_rejected) == (counts.rows_read - refused, refused)
    assert sum(counts.rejected_by_reason.values()) == refused


@pytest.mark.usefixtures("imported")
def test_every_neighbour_of_a_hostile_image_is_found(client: Client, folder: HostileFolder) -> None:
    for sku, path in folder.good.items():
        best = client.search(CATALOG, path, top_k=1).results[0]
        assert (best.sku, best.score > 0.999) == (sku, True)


@pytest.mark.usefixtures("imported")
def test_the_server_goes_on_with_small_children(server: LocalServer, client: Client) -> None:
    children = [each for each in server.tree() if "decode_child" in " ".join(each.cmdline())]
    assert children
    for child in children:
        assert child.status() != psutil.STATUS_ZOMBIE
        assert child.memory_info().rss < 200 << 20
    assert client.search(CATALOG, good_picture(_SEED)).results


@pytest.mark.usefixtures("imported")
def test_as_a_query_every_kind_is_answered_or_refused_with_its_verdict(
    client: Client, folder: HostileFolder
) -> None:
    for number, kind in enumerate(IMAGES):
        if kind.heavy:
            continue
        photo = (folder.manifest.parent / f"{number:03d}-{kind.name}.jpg").read_bytes()
        if len(photo) > 7 << 20:  # the limit of query photos
            continue
        if kind.verdict == ACCEPTED:
            assert client.search(CATALOG, photo).results, kind.name
            continue
        with pytest.raises(InvalidArgument) as raised:
            client.search(CATALOG, photo)
        assert raised.value.reason == kind.verdict, kind.name


@pytest.mark.usefixtures("imported")
def test_a_refused_upload_of_heic_says_how_to_convert_it(client: Client) -> None:
    heic = next(kind for kind in IMAGES if kind.name == "heic").make(_SEED)
    with pytest.raises(InvalidArgument, match="convert it to JPEG") as raised:
        client.upload_image(next(iter(client.list_products(CATALOG))).name, heic)
    assert raised.value.reason == "IMAGE_FORMAT_UNSUPPORTED"
