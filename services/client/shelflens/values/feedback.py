"""What users said about search results."""

from dataclasses import dataclass
from datetime import datetime

from shelflens.values.stages import RankingStages


@dataclass(frozen=True, slots=True)
class Feedback:
    """Whether `product` was right for the photo with the SHA-256 `photo_sha256`.

    `expected_product` would have been right, empty where nobody said so. The photo can be
    downloaded until `photo_expire_time`; None: it is not kept.
    """

    name: str
    photo_sha256: str
    product: str
    image: str
    right: bool
    expected_product: str
    model_digest: str
    stages: RankingStages
    create_time: datetime | None
    photo_expire_time: datetime | None
