"""What every RecordStore promises about embeddings, refusals and the claims of operations."""

from concurrent.futures import ThreadPoolExecutor

from services.core.record_ports import RecordStore
from tests.contract import record_stores
from tests.contract.record_stores import DIGEST, NOW, SPEC, Shop, hashes, row, sha

records, shop = record_stores.records, record_stores.shop_of_records
X, Y, Z = sha("x"), sha("y"), sha("z")


def test_an_embedding_added_twice_keeps_its_first_place(shop: Shop) -> None:
    shop.embed("x", "y", key="embeddings/first")
    shop.embed("z", "y", "x", key="embeddings/second")
    shop.embed("y", "x", key="embeddings/first")  # the same file again
    assert shop.places("x", "y", "z", "nobody's") == {
        X: ("embeddings/first", 0),
        Y: ("embeddings/first", 1),
        Z: ("embeddings/second", 0),
    }


def test_what_one_model_embedded_another_does_not_know(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.embeddings.add(DIGEST, "k", [X, Y])
        tx.embeddings.add(DIGEST, "k2", [])
    with records.begin() as tx:
        assert tx.embeddings.known(DIGEST, [X, Z, X]) == {X}
        assert tx.embeddings.known("e" * 64, [X, Y]) == set()
        assert tx.embeddings.known(DIGEST, []) == set()
        assert tx.embeddings.places(DIGEST, [Y, Z, Y]) == {Y: ("k", 1)}
        assert tx.embeddings.places("e" * 64, [X, Y]) == {}
        assert tx.embeddings.places(DIGEST, []) == {}


def test_what_a_picture_looks_like_is_told_with_its_place(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.embeddings.add(DIGEST, "k", [X, Y], ["0f" * 8, "f0" * 8])
        tx.embeddings.add(DIGEST, "unseen", [Z])
    with records.begin() as tx:
        assert tx.embeddings.pictures(DIGEST, [Y, Z]) == {
            Y: ("f0" * 8, "k", 1),
            Z: ("", "unseen", 0),
        }
        assert tx.embeddings.pictures("e" * 64, [X]) == {}
        assert tx.embeddings.pictures(DIGEST, []) == {}


def test_models_that_embed_the_same_image_keep_places_of_their_own(shop: Shop) -> None:
    shop.embed("x", "y", key="embeddings/one")
    with shop.records.begin(write=True) as tx:
        tx.embeddings.add("e" * 64, "embeddings/two", [Y, X])
        assert tx.embeddings.places("e" * 64, [X]) == {X: ("embeddings/two", 1)}
    assert shop.places("x") == {X: ("embeddings/one", 0)}


def test_a_refusal_is_remembered_with_its_first_reason(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        tx.embeddings.refuse({X: "IMAGE_UNDECODABLE", Y: "IMAGE_TOO_LARGE"})
        tx.embeddings.refuse({X: "IMAGE_TOO_LARGE"})
        tx.embeddings.refuse({})
    with records.begin() as tx:
        assert tx.embeddings.refusals([X, Z]) == {X: "IMAGE_UNDECODABLE"}
        assert tx.embeddings.refusals([]) == {}


def test_a_hash_is_claimed_once_by_an_operation_in_the_order_given(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        assert tx.embeddings.claim("one", [Z, X, Z]) == [Z, X]
    with records.begin(write=True) as tx:
        assert tx.embeddings.claim("one", [X, Y, Z]) == [Y]
        assert tx.embeddings.claim("two", [X]) == [X]
        assert tx.embeddings.claim("one", []) == []


def test_refusals_settled_in_an_operation_stay_in_it(records: RecordStore) -> None:
    with records.begin(write=True) as tx:
        for operation in ("one", "two"):
            tx.embeddings.claim(operation, [X, Y])
        tx.embeddings.settle("one", {X: "IMAGE_UNREACHABLE"})
        tx.embeddings.settle("one", {})
    with records.begin() as tx:
        assert tx.embeddings.settled("one", [X, Y, Z]) == {X: "IMAGE_UNREACHABLE"}
        assert tx.embeddings.settled("one", [Y]) == {}
        assert tx.embeddings.settled("two", [X, Y]) == {}
        assert tx.embeddings.refusals([X]) == {}


def test_the_claims_of_a_finished_operation_are_dropped_and_no_others(
    records: RecordStore,
) -> None:
    with records.begin(write=True) as tx:
        for operation in ("one", "two"):
            tx.embeddings.claim(operation, [X])
            tx.embeddings.settle(operation, {X: "IMAGE_UNREACHABLE"})
        tx.embeddings.forget("one")
    with records.begin(write=True) as tx:
        assert tx.embeddings.settled("one", [X]) == {}
        assert tx.embeddings.claim("one", [X]) == [X]
        assert tx.embeddings.claim("two", [X]) == []


def test_threads_that_write_one_catalogue_never_claim_the_same_hash(shop: Shop) -> None:
    labels = [f"i{number}" for number in range(40)]

    def claim(shift: int) -> list[str]:
        mine: list[str] = []
        for number in range(0, len(labels), 4):
            with shop.records.begin(write=True) as tx:
                tx.catalogs.next_revision("shop")
                wanted = [sha(labels[(number + shift + n) % 40]) for n in range(8)]
                mine += tx.embeddings.claim("one", wanted)
        return mine

    with ThreadPoolExecutor(3) as pool:
        claimed = [sha256 for each in pool.map(claim, (0, 3, 17)) for sha256 in each]
    assert len(claimed) == 40
    assert set(claimed) == hashes(*labels)


def test_a_replaced_embedding_is_to_be_shown_anew_wherever_its_model_serves(shop: Shop) -> None:
    other = Shop(shop.records, "other")
    for each in (shop, other):
        each.load(row("a", "x", "y"))
        each.embed("x", "y", key="embeddings/first")
        each.indexed(each.plan("a"))
    with shop.records.begin(write=True) as tx:
        shown = tx.embeddings.replace(DIGEST, "embeddings/second", {X: 7})
        assert tx.embeddings.replace("e" * 64, "embeddings/third", {Y: 0}) == []
        assert tx.embeddings.replace(DIGEST, "embeddings/none", {}) == []
    assert shown == [("other", "a", X), ("shop", "a", X)]
    for each in (shop, other):
        (entry,) = each.unplanned("a")
        assert (entry.sha256, entry.searchable) == (X, False)
    assert shop.places("x", "y") == {
        X: ("embeddings/second", 7),
        Y: ("embeddings/first", 1),
    }


def test_a_replaced_embedding_is_shown_anew_by_deployments_beside_the_live_one(
    shop: Shop,
) -> None:
    building, kept, gone = (Shop(shop.records, each) for each in ("building", "kept", "gone"))
    with shop.records.begin(write=True) as tx:
        tx.models.put("outside", "e" * 64, SPEC, NOW)
        for each in (building, kept, gone):
            tx.deployments.add(each.id, "outside", {}, NOW)
        tx.deployments.switch("kept", 2, NOW)
        tx.deployments.switch("kept", 1, NOW)
        tx.deployments.remove("gone", 2)
        tx.embeddings.add("e" * 64, "embeddings/first", [X])
    for each in (shop, building, kept, gone):
        each.load(row("a", "x"))
        each.plan("a")
    with shop.records.begin(write=True) as tx:
        shown = tx.embeddings.replace("e" * 64, "embeddings/second", {X: 0})
    assert shown == [("building", "a", X), ("kept", "a", X)]
