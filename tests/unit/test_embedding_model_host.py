"""Which embedders are loaded, and for how long."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from services.core.domain.errors import DataLoss, FailedPrecondition, NotFound
from services.core.domain.model import Member, Model
from services.embedding.forward_gate import ForwardGate
from services.embedding.model_host import ModelHost
from tests.unit.embedding_world import World, spec, world

SPECS = [spec(f"embedder {number}") for number in range(6)]
DIGESTS = [each.digest for each in SPECS]


def use(here: World, *digests: str) -> None:
    for digest in digests:
        with here.host.model(digest):
            pass


def test_of_too_many_embedders_the_one_unused_for_longest_is_dropped() -> None:
    with world(*SPECS, most=3) as here:
        use(here, *DIGESTS[:3], DIGESTS[0], DIGESTS[3])
        assert set(here.host.digests) == {DIGESTS[0], DIGESTS[2], DIGESTS[3]}
        use(here, DIGESTS[1])
        assert set(here.host.digests) == {DIGESTS[0], DIGESTS[3], DIGESTS[1]}
        assert here.loads == [*DIGESTS[:4], DIGESTS[1]]


def test_an_embedder_in_use_is_never_dropped() -> None:
    with world(*SPECS, most=1) as here:
        with here.host.model(DIGESTS[0]), here.host.embedders(DIGESTS[1:3]):
            use(here, DIGESTS[3], DIGESTS[4])
            assert set(here.host.digests) >= set(DIGESTS[:3])
            use(here, *DIGESTS[:3])
        assert len(here.host.digests) == 1
        assert here.loads == DIGESTS[:5]


def test_an_embedder_is_loaded_once_and_shared_between_models() -> None:
    both = Model((Member(SPECS[0]), Member(SPECS[1])))
    other = Model((Member(SPECS[1]), Member(SPECS[2])))
    with world(both, other) as here, ExitStack() as held:
        first = held.enter_context(here.host.model(both.digest))
        second = held.enter_context(here.host.model(other.digest))
        (plain,) = held.enter_context(here.host.embedders([DIGESTS[1]]))
        assert first.embedders[DIGESTS[1]] is second.embedders[DIGESTS[1]] is plain
        assert sorted(here.loads) == sorted(DIGESTS[:3])


def test_many_that_ask_at_once_load_it_once() -> None:
    with world(*SPECS) as here:
        barrier = threading.Barrier(8)

        def ask(_: int) -> None:
            barrier.wait()
            use(here, DIGESTS[0])

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, range(8)))
        assert here.loads == [DIGESTS[0]]


def test_an_unknown_model_and_one_without_weights_are_not_loaded() -> None:
    with world(*SPECS) as here:
        here.broken[DIGESTS[0]] = NotFound("no weights")
        for digest in ("f" * 64, DIGESTS[0]):
            with pytest.raises(FailedPrecondition, match=digest[:12]) as caught:
                use(here, digest)
            assert caught.value.reason == "MODEL_NOT_LOADED"
            assert not here.host.is_loaded(digest)


def test_a_model_that_fails_to_load_is_tried_again_and_harms_no_other() -> None:
    both = Model((Member(SPECS[0]), Member(SPECS[1])))
    with world(both, most=2) as here:
        here.broken[DIGESTS[1]] = DataLoss("damaged")
        with pytest.raises(DataLoss):
            use(here, both.digest)
        assert here.host.digests == (DIGESTS[0],)
        assert not here.host.is_loaded(both.digest)
        here.broken.clear()
        use(here, both.digest)
        assert here.host.is_loaded(both.digest)
        assert here.loads == DIGESTS[:2]
        use(here, DIGESTS[0])


def test_a_dropped_embedder_makes_its_models_unloaded() -> None:
    both = Model((Member(SPECS[0]), Member(SPECS[1])))
    with world(both, *SPECS, most=2) as here:
        use(here, both.digest)
        assert here.host.is_loaded(both.digest)
        use(here, DIGESTS[2])
        assert not here.host.is_loaded(both.digest)


def test_what_was_loaded_by_its_spec_is_found_without_a_store() -> None:
    with world(*SPECS) as here:
        gate = ForwardGate(1)
        host = ModelHost(here.host._load, gate)
        host.load(SPECS[0])
        with host.embedders(DIGESTS[:1]) as (found,):
            assert found.spec == SPECS[0]
        with pytest.raises(FailedPrecondition), host.model(DIGESTS[1]):
            pass
        gate.close()
