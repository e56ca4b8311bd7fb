"""What a catalogue's writes must reach: the live collection, and those built or kept beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.deployment_ports import Deployment
from services.core.domain.external_model import is_external
from services.core.domain.model import Model
from services.core.record_ports import Records


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment and its model, which is None where embeddings are made elsewhere."""

    deployment: Deployment
    model: Model | None

    @property
    def embedders(self) -> tuple[str, ...]:
        """Under which digests the embeddings lie that make up a point, in their order."""
        if self.model is None:
            return (self.deployment.model_digest,)
        return tuple(each.digest for each in self.model.embedders)

    @property
    def recipe(self) -> str:
        """What IndexShard calls `model`."""
        return "" if self.model is None or self.model.is_plain else self.model.to_json()


def targets(tx: Records, catalog: str) -> list[Target]:
    """The live one first. Raises NotFound (CATALOG_NOT_FOUND)."""
    live = tx.catalogs.deployment(catalog)
    others = [each for each in tx.deployments.targets(catalog) if each.number != live.number]
    return [target(tx, each) for each in (live, *others)]


def target(tx: Records, deployment: Deployment) -> Target:
    spec = tx.models.spec(deployment.model_digest)
    return Target(deployment, None if is_external(spec) else Model.from_dict(spec))


def lacking(tx: Records, embedders: Sequence[str], hashes: Sequence[str]) -> dict[str, set[str]]:
    """Digest -> those of the images that it has not embedded and that are not known as unusable."""
    missing = {
        digest: set(hashes).difference(tx.embeddings.known(digest, hashes)) for digest in embedders
    }
    refused = tx.embeddings.refusals(sorted(set().union(*missing.values())))
    return {digest: those - refused.keys() for digest, those in missing.items()}
