"""Cutting the main object out of a picture, found by the energy of its feature map."""

from collections.abc import Callable

import torch
from torch import Tensor


def object_boxes(maps: Tensor, share: float) -> Tensor:
    """Squares around what is strong in maps [n, c, h, w]: float32 [n, 4], each left, top, right,
    bottom in shares of the picture's side.

    The energy of a place is the L2 norm of its channels. The box holds the places whose energy is
    at least `share` of the highest, half a place around them, and is widened to a square inside
    the picture. Between the centres of two places energy is taken to change evenly, so that noise
    moves a box a little instead of by a whole place.
    """
    energy = maps.float().norm(dim=1)
    level = share * energy.amax((1, 2), keepdim=False)[:, None]
    left, right = _extent(energy.amax(1), level)
    top, bottom = _extent(energy.amax(2), level)
    side = torch.maximum(right - left, bottom - top)
    left = ((left + right - side) / 2).clamp_min(0).minimum(1 - side)
    top = ((top + bottom - side) / 2).clamp_min(0).minimum(1 - side)
    return torch.stack((left, top, left + side, top + side), dim=1)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """bool [n, height, width]: which places of a map have their centre in its box [n, 4]."""
    left, top, right, bottom = (each[:, None] for each in boxes.unbind(1))
    across = (torch.arange(width, device=boxes.device) + 0.5) / width
    down = (torch.arange(height, device=boxes.device) + 0.5) / height
    columns = (across >= left) & (across <= right)
    rows = (down >= top) & (down <= bottom)
    return rows[:, :, None] & columns[:, None, :]


def cut_out(pictures: Tensor, boxes: Tensor, side: int, interpolation: str) -> Tensor:
    """float32 [n, 3, side, side] of pictures float32 [n, 3, s, s] (0 to 255): each box resized.

    The same filter as Pillow's Image.resize(size, interpolation, box) has, without its rounding.
    """
    scaled = boxes * pictures.shape[-1]
    across = _resampling(scaled[:, 0], scaled[:, 2], pictures.shape[-1], side, interpolation)
    down = _resampling(scaled[:, 1], scaled[:, 3], pictures.shape[-2], side, interpolation)
    narrowed = torch.matmul(pictures, across[:, None].transpose(2, 3)).clamp(0, 255)
    return torch.matmul(down[:, None], narrowed).clamp(0, 255)


def _extent(profile: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Where profiles [n, k] first and last reach their level [n, 1], less and plus half a place,
    in shares of k."""
    count = profile.shape[1]
    first = _first(profile, level)
    last = count - _first(profile.flip(1), level)
    return (first / count).clamp(0, 1), (last / count).clamp(0, 1)


def _first(profile: Tensor, level: Tensor) -> Tensor:
    """[n], in places: 0 is the edge before the first one."""
    index = (profile >= level).to(torch.uint8).argmax(1, keepdim=True)
    here = profile.gather(1, index)
    before = profile.gather(1, (index - 1).clamp_min(0))
    over = (here - level) / (here - before).clamp_min(torch.finfo(torch.float32).tiny)
    return torch.where(index > 0, index - over, 0.0)[:, 0]


def _resampling(start: Tensor, end: Tensor, length: int, side: int, interpolation: str) -> Tensor:
    """Weights [n, side, length] of the input pixels in each output pixel between start and end."""
    support, kernel = _KERNELS[interpolation]
    step = ((end - start) / side)[:, None, None]
    stretch = step.clamp_min(1.0)
    place = torch.arange(side, device=start.device, dtype=torch.float32)[:, None]
    centre = start[:, None, None] + (place + 0.5) * step
    pixel = torch.arange(length, device=start.device, dtype=torch.float32) + 0.5
    offset = ((pixel - centre) / stretch).abs()
    weights = torch.where(offset < support, kernel(offset), 0.0)
    return weights / weights.sum(2, keepdim=True)


def _linear(x: Tensor) -> Tensor:
    return 1 - x


def _cubic(x: Tensor) -> Tensor:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far)


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3)


# Pillow's: how far each reaches, in pixels of what is larger, and its values.
_KERNELS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "bilinear": (1.0, _linear),
    "bicubic": (2.0, _cubic),
    "lanczos": (3.0, _lanczos),
}
