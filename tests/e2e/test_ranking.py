"""Stages between the nearest images and the answer, as a customer sees them."""

import io

import grpc
import pytest
from PIL import Image

from shelflens import Client
from shelflens.v1 import search_pb2 as pb
from shelflens.v1 import search_pb2_grpc
from tests.e2e.judging import ALL, CATALOGS, RERANK, Judged
from tests.local_server import LocalServer

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("dataset")]


def test_pictures_of_why_come_and_a_budget_skips_stages(client: Client, judged: Judged) -> None:
    photo = judged.present[0][0]
    found = client.search(CATALOGS[0], photo, stages=RERANK, explain=2)
    assert [bool(each.explanation) for each in found.results[:3]] == [True, True, False]
    for each in found.results[:2]:
        with Image.open(io.BytesIO(each.explanation)) as picture:
            assert picture.format == "PNG"
    assert found.skipped_stages == ()
    hurried = client.search(CATALOGS[0], photo, stages=ALL, latency_budget_ms=1)
    assert hurried.skipped_stages == ("expand", "rerank", "fold", "diversify")
    plain = client.search(CATALOGS[0], photo)
    assert [each.sku for each in hurried.results] == [each.sku for each in plain.results]


@pytest.mark.parametrize("group_by", ["GROUP_BY_PRODUCT", "GROUP_BY_PARENT"])
def test_pages_of_reranked_results_fit_together(
    server: LocalServer, judged: Judged, group_by: str
) -> None:
    whole = _page(server, judged, group_by, 20, "")
    first = _page(server, judged, group_by, 10, "")
    second = _page(server, judged, group_by, 10, first.next_page_token)
    assert [*first.results, *second.results] == list(whole.results)


def _page(
    server: LocalServer, judged: Judged, group_by: str, size: int, token: str
) -> pb.SearchProductsResponse:
    request = pb.SearchProductsRequest(
        parent=f"catalogs/{CATALOGS[0]}",
        photo=judged.present[0][0].read_bytes(),
        top_k=20,
        page_size=size,
        page_token=token,
        group_by=pb.SearchProductsRequest.GroupBy.Value(group_by),
        stages=pb.RankingStages(rerank=pb.RankingStages.Rerank(candidates=30)),
    )
    with grpc.insecure_channel(server.target) as channel:
        answer = search_pb2_grpc.SearchServiceStub(channel).SearchProducts(request)
    assert isinstance(answer, pb.SearchProductsResponse)
    return answer
