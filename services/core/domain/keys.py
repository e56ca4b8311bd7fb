"""Where things lie in the object store: every key is made here."""

import hashlib
import re

from services.core.domain.errors import InvalidArgument
from services.core.domain.names import check_digest, check_id

IMAGE_REFERENCES = "images/references/"
SERVING_KEY = "models/serving.json"  # {"models": [digest, ...]}: what query workers keep loaded
UPLOADED_WEIGHTS = "models/uploads/"
FEEDBACK_PHOTOS = "feedback/"
_INCOMING = re.compile(r"incoming(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,255})+")
_LONGEST = 512


def image_key(sha256: str) -> str:
    """An image's bytes under their own SHA-256. Raises InvalidArgument (INVALID_DIGEST)."""
    check_digest(sha256, "sha256")
    return f"images/sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def image_reference_key(sha256: str) -> str:
    """Which object has the bytes of an image that was imported by reference (stored_images)."""
    check_digest(sha256, "sha256")
    return f"{IMAGE_REFERENCES}{sha256[:2]}/{sha256[2:4]}/{sha256}"


def incoming_key(key: str) -> str:
    """Returns `key`, an object that somebody put there to be imported.

    Raises InvalidArgument (OBJECT_KEY_INVALID) unless it lies below `incoming/`.
    """
    if len(key) > _LONGEST or not _INCOMING.fullmatch(key):
        raise InvalidArgument.field(
            "object",
            f"{key[:80]!r} is no key below incoming/ of letters, digits and ._-/",
            reason="OBJECT_KEY_INVALID",
        )
    return key


def remembered_url_key(url: str) -> str:
    """What is remembered about the image at an address."""
    digest = hashlib.sha256(url.encode()).hexdigest()
    return f"urls/sha256/{digest[:2]}/{digest[2:4]}/{digest}.json"


def embeddings_key(embedder_digest: str, operation: str, sequence: int, part: int = 0) -> str:
    """The embeddings file (shard_files.Embeddings) of one shard of an operation; `part` tells
    apart those of one that is embedded several times."""
    check_digest(embedder_digest, "embedder_digest")
    suffix = f"-{part}" if part else ""
    return f"embeddings/{embedder_digest}/{_shard(operation, sequence)}{suffix}.arrow"


def model_spec_key(model_digest: str) -> str:
    """What a model is (Model), as JSON."""
    check_digest(model_digest, "model_digest")
    return f"models/{model_digest}/model.json"


def weights_key(weights_sha256: str) -> str:
    """Weights that are not built in, as safetensors, under their own SHA-256."""
    return f"models/weights/{check_digest(weights_sha256, 'weights_sha256')}.safetensors"


def uploaded_weights_key(upload: str) -> str:
    """A weights file as a user sent it, until a model is made of it."""
    return f"{UPLOADED_WEIGHTS}{check_id(upload, 'upload')}"


def linear_key(linear_sha256: str) -> str:
    """A linear part (whitening, PCA), as safetensors, under its own SHA-256."""
    return f"models/linear/{check_digest(linear_sha256, 'linear_sha256')}.safetensors"


def working_prefix(operation: str) -> str:
    """What the stages of an operation hand to each other; removed when it has finished."""
    return f"working/{check_id(operation, 'operation')}/"


def accepted_key(operation: str, sequence: int) -> str:
    """The accepted rows of one shard."""
    return f"working/{_shard(operation, sequence)}-accepted.parquet"


def carried_key(operation: str, sequence: int) -> str:
    """The embeddings that the accepted rows of one shard carry."""
    return f"working/{_shard(operation, sequence)}-embeddings.arrow"


def rejected_key(operation: str, sequence: int, stage: str = "ingest") -> str:
    """What one stage refused of one shard."""
    return f"working/{_shard(operation, sequence)}-rejected-{stage}.parquet"


def plan_key(operation: str, sequence: int, deployment: int) -> str:
    """The index plan of one shard for one deployment of the catalogue."""
    return f"working/{_shard(operation, sequence)}-{deployment}-plan.parquet"


def report_key(operation: str) -> str:
    """Every rejection of an import as CSV; kept."""
    return f"reports/{check_id(operation, 'operation')}/rejected.csv"


def dataset_prefix(dataset: str, build: str) -> str:
    """The frozen pages of one making of a dataset (dataset_files); kept as long as the dataset."""
    return f"datasets/{check_id(dataset, 'dataset')}/{check_id(build, 'build')}/"


def page_key(prefix: str, role: str, number: int) -> str:
    """A page of rows of a dataset, or of places: `role` is "queries" or "gallery"."""
    return f"{prefix}{role}/{number:08d}.parquet"


def evaluation_prefix(evaluation: str) -> str:
    """What an evaluation keeps: its report, its figures, and the results of each model."""
    return f"evaluations/{check_id(evaluation, 'evaluation')}/"


def results_prefix(evaluation: str, number: int) -> str:
    """What was measured of the model at place `number` of an evaluation."""
    return f"{evaluation_prefix(evaluation)}{number}/"


def failure_pictures(results: str) -> str:
    """Pictures of why a model's failures were found; `results` is its prefix."""
    return f"{results}failures/"


def failure_picture_key(results: str, number: int) -> str:
    """The picture of why failure `number` of a model was found."""
    return f"{failure_pictures(results)}{number:04d}.png"


def feedback_prefix(catalog: str) -> str:
    """The photos that were kept with feedback on a catalogue."""
    return f"{FEEDBACK_PHOTOS}{check_id(catalog, 'catalog')}/"


def feedback_photo_key(catalog: str, sha256: str) -> str:
    """A user's photo that was kept with feedback."""
    return f"{feedback_prefix(catalog)}{check_digest(sha256, 'sha256')}"


def dead_letter_key(message_digest: str) -> str:
    """The whole body of a dead letter that is too long for the records."""
    return f"deadletters/{check_digest(message_digest, 'message_digest')}"


def manifest_key(catalog: str, manifest: str) -> str:
    """An uploaded manifest, JSON Lines."""
    return f"manifests/{check_id(catalog, 'catalog')}/{check_id(manifest, 'manifest')}"


def _shard(operation: str, sequence: int) -> str:
    if sequence < 0:
        raise ValueError(f"sequence {sequence} is negative")
    return f"{check_id(operation, 'operation')}/{sequence:08d}"
