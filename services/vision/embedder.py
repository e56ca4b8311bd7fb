"""Pixels to embeddings."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from services.core.domain.errors import FailedPrecondition, InvalidArgument
from services.core.domain.model_spec import ModelSpec
from services.core.domain.pixel_views import bytes_of, split_views
from services.core.ports import Float32
from services.vision.autocrop import cut_out, inside, object_boxes
from services.vision.fusing import fuse_batch_norms
from services.vision.network import EmbeddingNetwork
from services.vision.precision import DTYPES, check_precision

_LEAST_NORM = 1e-12


class ImageEmbedder:
    """A network ready for inference by `spec`. Safe to call from many threads.

    Takes `network` over and changes it: batch norms are folded in, weights are cast. Whole weights
    in bf16 rather than autocast: 1.5 times as fast on a CPU, and as independent of the batch size.
    Raises FailedPrecondition (PRECISION_UNSUPPORTED), InvalidArgument (POOLING_UNSUPPORTED) for an
    autocrop without a map.
    """

    def __init__(self, spec: ModelSpec, network: EmbeddingNetwork, device: str = "cpu") -> None:
        self.spec = spec
        self._device = torch.device(device)
        check_precision(spec, self._device)
        self._dtype = DTYPES[spec.precision]
        smallest = spec.views[0].crop
        network.backbone = fuse_batch_norms(network.eval().backbone, smallest)
        network.backbone.to(self._device, self._dtype).to(memory_format=torch.channels_last)
        self._network = network.to(self._device)
        self._mean = 255 * torch.tensor(spec.mean, device=self._device)
        self._scale = 1 / (255 * torch.tensor(spec.std, device=self._device))

    def embed(self, pixels: npt.NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """(embeddings float32 [n, d], norms float32 [n]) of pixels uint8 [n, bytes_of(spec.views)],
        or [n, crop, crop, 3] where there is a single view.

        The embeddings of all views, and with `flip` of their mirror images, are averaged. Where the
        spec says normalised each is brought to length 1 before that, and so is the average; norms
        are the mean length of the views' embeddings before all that.
        """
        with torch.inference_mode():
            views = [self._raw(each) for each in self._split(pixels)]
            if self.spec.autocrop:
                views = self._around_object(views[-1])
            parts = [self._forward(raw, mirrored) for raw, mirrored in self._passes(views)]
            embeddings, norms = _average(parts, self.spec.normalised)
            return cast(Float32, embeddings.cpu().numpy()), cast(Float32, norms.cpu().numpy())

    def maps(self, pixels: npt.NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """What the backbone gives for the largest view of pixels as `embed` takes them, before it
        is pooled: float32 [n, h, w, c], and the box of each picture that the model embeds, float32
        [n, 4]: left, top, right, bottom in shares of the side.

        That is the whole picture unless the model crops its object out: then the map is the one in
        which the object is found, and 0 outside the box. Raises FailedPrecondition
        (NO_FEATURE_MAP) for backbones that give none.
        """
        with torch.inference_mode():
            maps = self._network.tokens(self._images(self._raw(self._split(pixels)[-1]))).map
            if maps is None:
                raise FailedPrecondition(
                    f"backbone '{self.spec.backbone}' gives no feature map: what it saw in a "
                    "picture cannot be shown; explain with a model of another backbone",
                    reason="NO_FEATURE_MAP",
                )
            maps = maps.float()
            boxes = maps.new_tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(maps), 1)
            if self.spec.autocrop:
                boxes = object_boxes(maps, self.spec.autocrop)
                maps = maps * inside(boxes, maps.shape[2], maps.shape[3])[:, None]
            last = maps.permute(0, 2, 3, 1).contiguous()
            return cast(Float32, last.cpu().numpy()), cast(Float32, boxes.cpu().numpy())

    def _split(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        views = self.spec.views
        if pixels.shape[1:] == (bytes_of(views),):
            return split_views(pixels, views)
        side = views[0].crop
        if len(views) > 1 or pixels.shape[1:] != (side, side, 3):
            sides = " and ".join(str(each.crop) for each in views)
            raise InvalidArgument(
                f"pixels of shape {list(pixels.shape)} are no images of {sides} pixels, which "
                f"model {self.spec.digest[:12]} reads",
                reason="WRONG_PIXELS",
            )
        return [pixels]

    def _raw(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """float32 [n, 3, side, side], 0 to 255, channels last in memory."""
        raw = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        return raw.float().permute(0, 3, 1, 2)

    def _passes(self, views: Sequence[Tensor]) -> list[tuple[Tensor, bool]]:
        sides = (False, True) if self.spec.flip else (False,)
        return [(each, mirrored) for each in views for mirrored in sides]

    def _images(self, raw: Tensor) -> Tensor:
        """What the backbone reads."""
        scaled = (raw.permute(0, 2, 3, 1) - self._mean) * self._scale
        images = scaled.to(self._dtype).permute(0, 3, 1, 2)
        return images.contiguous(memory_format=torch.channels_last)

    def _forward(self, raw: Tensor, mirrored: bool) -> Tensor:
        images = self._images(raw.flip(3) if mirrored else raw)
        return cast(Tensor, self._network(images))

    def _around_object(self, largest: Tensor) -> list[Tensor]:
        """What every view shows of the box around the object, cut from the largest one."""
        maps = self._network.tokens(self._images(largest)).map
        if maps is None:
            raise InvalidArgument(
                f"autocrop needs a feature map, which backbone '{self.spec.backbone}' does not "
                "give: make the model without autocrop",
                reason="POOLING_UNSUPPORTED",
            )
        boxes = object_boxes(maps, self.spec.autocrop)
        interpolation = self.spec.interpolation
        return [cut_out(largest, boxes, each.crop, interpolation) for each in self.spec.views]


def _average(parts: Sequence[Tensor], normalised: bool) -> tuple[Tensor, Tensor]:
    """([n, d], [n]) of the embeddings [n, d] of each view."""
    stacked = torch.stack(list(parts))
    if not normalised:
        mean = stacked.mean(0)
        return mean, mean.norm(dim=1)
    norms = stacked.norm(dim=2).mean(0)
    directions = normalize(stacked, dim=2, eps=_LEAST_NORM).mean(0)
    return normalize(directions, dim=1, eps=_LEAST_NORM), norms
