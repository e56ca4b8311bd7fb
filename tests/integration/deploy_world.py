"""What tests of deployments do to an import world."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from services.core.deployment_ports import Deployment
from services.core.domain import names
from services.core.domain.model import Model
from services.core.domain.operations import OperationKind, OperationState
from services.core.messages import IndexShard, Message
from tests.integration.import_world import World, row


def fill(world: World, count: int, start: int = 0, *, run: bool = True, **fields: Any) -> str:
    """Imports products sku-<start>... with an image each."""
    rows = [
        row(f"sku-{number}", world.image(f"picture {number}"), **fields)
        for number in range(start, start + count)
    ]
    operation = world.start_import("shop", rows)
    if run:
        world.run()
    return operation


def register(world: World, name: str, model: Model) -> None:
    with world.records.begin(write=True) as tx:
        tx.models.put(name, model.digest, model.to_dict(), world.clock.now())


def deploy(world: World, model: str, **options: Any) -> str:
    with world.records.begin(write=True) as tx:
        made = tx.deployments.add("shop", model, {}, world.clock.now())
    wanted = {"compare_searches": 0, "compare_seconds": 0, "discard_old": False} | options
    request = {"deployment": made.number, "model": model, "model_digest": made.model_digest}
    return world.accept(OperationKind.DEPLOY, "shop", request | wanted)


def begin_model(world: World, name: str, **request: Any) -> str:
    defaults = {"method": "whitening", "shrinkage": 0.0, "norms": False, "dimension": 0}
    told = {key: v.to_dict() if isinstance(v, Model) else v for key, v in request.items()}
    catalog = "shop" if request["kind"] == "linear" else ""
    with world.records.begin(write=True) as tx:
        kind, now = OperationKind.CREATE_MODEL, world.clock.now()
        return tx.operations.create(kind, catalog, 0, {"model": name} | defaults | told, now).id


def create_model(world: World, name: str, **request: Any) -> Model:
    operation = begin_model(world, name, **request)
    world.run()
    done = world.operation(operation)
    assert done.state is OperationState.SUCCEEDED, done.error_message
    with world.records.begin() as tx:
        spec = tx.models.get(name).spec
    assert done.result["model"]["spec"] == spec
    return Model.from_dict(spec)


def deployments(world: World) -> list[Deployment]:
    with world.records.begin() as tx:
        return tx.deployments.page("shop", None, 10)


def images(world: World) -> Iterator[tuple[str, str]]:
    """(product, hash) of all images."""
    with world.records.begin() as tx:
        for product in tx.products.page("shop", "", 100):
            for image in tx.products.page_images("shop", product.id, "", 100):
                yield product.id, image.sha256


def delete_product(world: World, sku: str) -> None:
    """As the gateway does."""
    product = names.product_id(sku)
    with world.records.begin(write=True) as tx:
        revision = tx.catalogs.next_revision("shop")
        tx.products.delete("shop", product, revision, world.clock.now())
        request = {"products": [product], "embed": []}
        tx.operations.create(OperationKind.CHANGE, "shop", revision, request, world.clock.now())


def is_write(message: Message, operation: str, to: Deployment) -> TypeGuard[IndexShard]:
    """Whether an operation writes to a deployment's collection with it."""
    return (
        isinstance(message, IndexShard)
        and message.operation == operation
        and message.collection == to.collection
    )


def some_work(world: World) -> None:
    """One delivery, or a tick where nothing is to be delivered."""
    if world.queue.messages:
        world.deliver_one()
    else:
        world.clock.move(5)
        world.coordinator.tick()


def settle(world: World) -> None:
    """Delivers and ticks until nothing moves any more, without letting leases end."""
    for _ in range(3):
        world.coordinator.tick()
        while world.queue.messages:
            world.deliver_one()
        world.clock.move(1)


def tell(world: World, worker: str, *models: str) -> None:
    with world.records.begin(write=True) as tx:
        tx.deployments.note_worker(worker, models, world.clock.now())


def without_revisions(found: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {
        key: {name: value for name, value in payload.items() if name != "revision"}
        for key, payload in found.items()
    }
