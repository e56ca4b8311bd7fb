"""How well a linear classifier tells the products apart by a model's embeddings."""

import numpy as np
import numpy.typing as npt

from services.core.domain.errors import InvalidArgument
from services.core.ports import Float32
from services.evaluation.dataset_gallery import DatasetGallery

Int64 = npt.NDArray[np.int64]
# Multiplications of one step of the solver: a hundred steps take minutes.
_MOST_WORK = 20_000_000_000
_STEPS = 1_000


def check_classifier(gallery: DatasetGallery) -> None:
    """Raises InvalidArgument (CLASSIFIER_TOO_LARGE)."""
    images, dimension = gallery.vectors.shape
    if images * dimension * len(gallery.names) > _MOST_WORK:
        raise InvalidArgument.field(
            "options.classifier",
            f"{images} images of {len(gallery.names)} products in {dimension} dimensions take too "
            "long: leave it out, or take a smaller dataset",
            reason="CLASSIFIER_TOO_LARGE",
        )


class Classifier:
    """A logistic regression by product, fitted to the vectors of the gallery.

    Multinomial, as scikit-learn sets it by default: L2 penalty with C = 1, lbfgs, but up to 1,000
    steps. The embeddings are taken as the model gives them, neither scaled nor centred.
    """

    def __init__(self, gallery: DatasetGallery) -> None:
        from sklearn.linear_model import LogisticRegression  # takes seconds, which a start has not

        check_classifier(gallery)
        self._only = int(gallery.products[0]) if len(gallery.names) == 1 else None
        self._fitted = LogisticRegression(C=1.0, max_iter=_STEPS)
        if self._only is None:
            self._fitted.fit(gallery.vectors, gallery.products)

    def products(self, vectors: Float32) -> Int64:
        """int64 [n], places in the gallery's names, of vectors float32 [n, d]."""
        if self._only is not None or not len(vectors):
            return np.full(len(vectors), self._only or 0, np.int64)
        return np.asarray(self._fitted.predict(vectors), np.int64)
