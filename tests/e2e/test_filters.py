"""Filters, grouping, thresholds and pages, each against the manifest itself."""

from collections import defaultdict
from collections.abc import Iterator

import grpc
import pytest

from shelflens import Client
from shelflens.v1 import search_pb2, search_pb2_grpc
from shelflens.values import SearchResult
from tests.e2e.shop import PRODUCTS, Row, Shop, skus
from tests.local_server import LocalServer

CATALOG = "filters"


@pytest.fixture(scope="module", autouse=True)
def _imported(client: Client, shop: Shop) -> None:
    client.import_products(CATALOG, shop.manifest).raise_for_error()


@pytest.fixture(scope="module")
def rows(shop: Shop) -> list[Row]:
    return shop.rows()


@pytest.fixture(scope="module")
def everything(client: Client, shop: Shop) -> tuple[SearchResult, ...]:
    """All products, ranked by one customer's photo."""
    return client.search(CATALOG, shop.photos[0][0], top_k=500).results


def _found(results: tuple[SearchResult, ...]) -> list[str]:
    return sorted(each.sku for each in results)


def test_top_k_of_500_ranks_the_whole_catalogue(
    everything: tuple[SearchResult, ...], rows: list[Row]
) -> None:
    assert _found(everything) == skus(rows)
    scores = [each.score for each in everything]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("category", ["Drinks", "Drinks > Juice", "Care"])
def test_a_category_covers_its_sub_categories_and_nothing_else(
    client: Client, shop: Shop, rows: list[Row], category: str
) -> None:
    below = [
        row
        for row in rows
        if row["category"] == category or row["category"].startswith(f"{category} > ")
    ]
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, categories=[category]).results
    assert 0 < len(below) < PRODUCTS
    assert _found(found) == skus(below)


def test_several_categories_are_alternatives(client: Client, shop: Shop, rows: list[Row]) -> None:
    wanted = ["Snacks > Nuts", "Pantry"]
    below = [row for row in rows if row["category"].startswith(tuple(wanted))]
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, categories=wanted).results
    assert _found(found) == skus(below)


def test_a_prefix_that_is_no_category_finds_nothing(client: Client, shop: Shop) -> None:
    assert client.search(CATALOG, shop.photos[0][0], categories=["Drin"]).results == ()


def test_labels_are_alternatives(client: Client, shop: Shop, rows: list[Row]) -> None:
    wanted = {"cherry", "new"}
    having = [row for row in rows if wanted & set(row["labels"].split("|"))]
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, labels=sorted(wanted)).results
    assert 0 < len(having) < PRODUCTS
    assert _found(found) == skus(having)


def test_skus_limit_the_search_to_themselves(client: Client, shop: Shop, rows: list[Row]) -> None:
    wanted = [row["sku"] for row in rows[::9]]
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, skus=[*wanted, "NO-SUCH"]).results
    assert _found(found) == sorted(wanted)


def test_a_price_range_includes_its_ends(client: Client, shop: Shop, rows: list[Row]) -> None:
    low, high = 2.39, 3.09
    within = [row for row in rows if low <= float(row["price"]) <= high]
    found = client.search(
        CATALOG, shop.photos[0][0], top_k=500, min_price=low, max_price=high
    ).results
    assert {row["price"] for row in within} >= {"2.39", "3.09"}
    assert _found(found) == skus(within)


def test_conditions_hold_together(client: Client, shop: Shop, rows: list[Row]) -> None:
    within = [
        row
        for row in rows
        if row["category"] == "Drinks > Juice"
        and "330-ml" in row["labels"].split("|")
        and float(row["stock"]) >= 100
    ]
    found = client.search(
        CATALOG,
        shop.photos[0][0],
        top_k=500,
        categories=["Drinks"],
        skus=[row["sku"] for row in rows if row["category"] == "Drinks > Juice"],
        labels=["330-ml"],
        min_stock=100,
    ).results
    assert within
    assert _found(found) == skus(within)


def test_a_filter_keeps_scores_and_order(
    client: Client, shop: Shop, everything: tuple[SearchResult, ...]
) -> None:
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, categories=["Drinks"]).results
    unfiltered = [each for each in everything if each.category.startswith("Drinks > ")]
    assert [each.product for each in found] == [each.product for each in unfiltered]
    assert [each.score for each in found] == pytest.approx([each.score for each in unfiltered])


def test_grouped_by_parent_each_parent_shows_its_nearest_variant(
    client: Client, shop: Shop, everything: tuple[SearchResult, ...]
) -> None:
    grouped = client.search(
        CATALOG, shop.photos[0][0], top_k=500, group_by="parent", hits_per_result=50
    ).results
    variants = defaultdict(list)
    for each in everything:
        variants[each.parent].append(each)
    assert [each.parent for each in grouped] == list(variants)  # parents in order of their best
    assert max(map(len, variants.values())) > 1
    for each in grouped:
        nearest = variants[each.parent][0]
        assert each.product == nearest.product
        assert each.score == pytest.approx(nearest.score)
        assert len(each.hits) == len(variants[each.parent])


def test_a_threshold_leaves_lower_scores_out(
    client: Client, shop: Shop, everything: tuple[SearchResult, ...]
) -> None:
    between = (everything[9].score + everything[10].score) / 2
    found = client.search(CATALOG, shop.photos[0][0], top_k=500, threshold=between).results
    assert [each.product for each in found] == [each.product for each in everything[:10]]


def test_pages_put_together_are_the_whole_list(
    server: LocalServer, shop: Shop, everything: tuple[SearchResult, ...]
) -> None:
    with grpc.insecure_channel(server.target) as channel:
        pages = list(_pages(channel, shop.photos[0][0].read_bytes(), top_k=50, page_size=7))
    assert [len(each) for each in pages] == [7] * 7 + [1]
    products = [product for page in pages for product in page]
    assert products == [each.product for each in everything[:50]]


def _pages(channel: grpc.Channel, photo: bytes, top_k: int, page_size: int) -> Iterator[list[str]]:
    stub = search_pb2_grpc.SearchServiceStub(channel)
    token, more = "", True
    while more:
        request = search_pb2.SearchProductsRequest(
            parent=f"catalogs/{CATALOG}",
            photo=photo,
            top_k=top_k,
            page_size=page_size,
            page_token=token,
        )
        response = stub.SearchProducts(request, timeout=30)
        yield [each.product for each in response.results]
        token = response.next_page_token
        more = bool(token)
