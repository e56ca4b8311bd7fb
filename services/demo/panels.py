"""Front panels: the printed face of a pack, laid out as its brand and parent prescribe."""

from dataclasses import dataclass

from PIL import Image, ImageDraw

from services.demo.catalog import DemoProduct
from services.demo.colours import lighter, luminance, mean_colour, readable
from services.demo.flavours import FLAVOURS, RGB, Flavour
from services.demo.grounds import crosses, paint_ground
from services.demo.lettering import BOLD, PLAIN, SPACED, Face, text_mask, write
from services.demo.marks import mark, wordmark_face, wordmark_text
from services.demo.motifs import cluster

Box = tuple[float, float, float, float]

_STACKED: tuple[dict[str, Box], ...] = (
    {"brand": (0, 0.07, 1, 0.26), "motif": (0.06, 0.30, 0.94, 0.68), "name": (0, 0.71, 1, 0.85)},
    {"brand": (0, 0.07, 1, 0.25), "motif": (0.04, 0.46, 0.96, 0.87), "name": (0, 0.29, 1, 0.43)},
    {"brand": (0, 0.44, 1, 0.62), "motif": (0.06, 0.05, 0.94, 0.42), "name": (0, 0.67, 1, 0.82)},
)
_BESIDE: tuple[dict[str, Box], ...] = (
    {"brand": (0, 0.10, 0.58, 0.46), "motif": (0.60, 0.10, 1, 0.86), "name": (0, 0.54, 0.58, 0.78)},
    {"brand": (0.42, 0.10, 1, 0.46), "motif": (0, 0.10, 0.40, 0.86), "name": (0.42, 0.54, 1, 0.78)},
)
_CLAIMS = (
    "naturally good",
    "since 1924",
    "family recipe",
    "slow made",
    "pure & simple",
    "from our valley",
    "small batch",
    "finest quality",
    "made with care",
)


@dataclass(frozen=True)
class Panel:
    """A panel being drawn: `left` and `right` (pixels) bound what a viewer in front sees."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    product: DemoProduct
    flavour: Flavour
    left: float
    right: float

    def place(self, box: Box) -> Box:
        """A box in shares of the seen part as pixels."""
        wide, high = self.right - self.left, self.image.height
        return (self.left + box[0] * wide, box[1] * high, self.left + box[2] * wide, box[3] * high)

    def ink_on(self, box: Box, wish: RGB) -> RGB:
        """`wish` if it can be read on what is drawn inside `box` (pixels), else black or white."""
        return readable(wish, mean_colour(self.image, box))

    def uneven(self, box: Box) -> bool:
        """Whether text inside `box` (pixels) would cross light and dark parts of the ground."""
        return crosses(self.product, box[1] / self.image.height, box[3] / self.image.height)


def draw_panel(product: DemoProduct, width: int, height: int, safe: float) -> Image.Image:
    """The panel of `product`, `width` x `height` pixels RGB; text keeps to the middle `safe`."""
    flavour = FLAVOURS[product.flavour]
    image = paint_ground(product, flavour, width, height)
    margin = width * (1 - safe) / 2
    panel = Panel(image, ImageDraw.Draw(image), product, flavour, margin, width - margin)
    beside = (panel.right - panel.left) > 1.2 * height
    slots = _BESIDE if beside else _STACKED
    slot = slots[(product.design >> 6) % len(slots)]
    _name(panel, panel.place(slot["name"]))
    _motif(panel, panel.place(slot["motif"]))
    _brand(panel, panel.place(slot["brand"]))
    _foot(panel)
    if product.ribbon:
        _ribbon(panel, panel.place(slot["motif"]))
    return image


def _motif(panel: Panel, box: Box) -> None:
    edge = round(min(box[2] - box[0], box[3] - box[1])) // 4 * 4
    x, y = round((box[0] + box[2] - edge) / 2), round((box[1] + box[3] - edge) / 2)
    design, flavour = panel.product.design, panel.flavour
    if (design >> 9) % 3 == 0:
        pad = edge * 0.02
        panel.draw.ellipse(
            (x + pad, y + pad, x + edge - pad, y + edge - pad), lighter(panel.product.ground, 0.4)
        )
        inset = edge // 8
        x, y, edge = x + inset, y + inset, edge - 2 * inset
    many = (1, 3, 3, 4)[(design >> 11) % 4]
    drawing = cluster(flavour.motif, flavour.motif_colour, max(edge, 8), many, design % 5)
    panel.image.paste(drawing, (x, y), drawing)


def _brand(panel: Panel, box: Box) -> None:
    product = panel.product
    name, face = wordmark_text(product.brand, product.look), wordmark_face(product.look)
    left, top, right, bottom = box
    ink = panel.ink_on(box, product.ink if luminance(product.ink) > 0.5 else product.base)
    style = 0 if panel.uneven(box) else (product.look >> 6) % 4
    if style == 0:
        panel.draw.rounded_rectangle(box, (bottom - top) * 0.3, product.base)
        panel.draw.rounded_rectangle(
            (left + 4, top + 4, right - 4, bottom - 4), (bottom - top) * 0.26, None, product.ink, 2
        )
        ink, box = product.ink, _inset(box, 0.08, 0.2)
    elif style == 1:
        panel.draw.ellipse((left - 4, top - 4, right + 4, bottom + 4), product.base)
        ink, box = product.ink, _inset(box, 0.14, 0.26)
    elif style == 2:
        emblem = mark(product.look, name[0], max(round((bottom - top) * 0.5), 6))
        panel.image.paste(ink, (round((left + right - emblem.width) / 2), round(top)), emblem)
        box = (left, top + (bottom - top) * 0.54, right, bottom)
    else:
        box = _inset(box, 0.02, 0.06)
    _wordmark(panel, name, box, ink, face)


def _wordmark(panel: Panel, name: str, box: Box, ink: RGB, face: Face) -> None:
    if " " in name and len(name) > 12:
        first, rest = name.split(" ", 1)
        split = box[1] + (box[3] - box[1]) * 0.68
        write(panel.image, first, (box[0], box[1], box[2], split), ink, face)
        write(panel.image, rest, (box[0], split + 3, box[2], box[3]), ink, SPACED)
    else:
        write(panel.image, name, box, ink, face)


def _name(panel: Panel, box: Box) -> None:
    product, flavour = panel.product, panel.flavour
    banded = 0 if panel.uneven(box) else (product.design >> 13) % 3
    left, top, right, bottom = box
    if banded == 0:
        panel.draw.rectangle((0, top, panel.image.width, bottom), flavour.colour)
        panel.draw.line((0, top, panel.image.width, top), lighter(flavour.colour, 0.5), 3)
        box = _inset(box, 0.04, 0.16)
    elif banded == 1:
        panel.draw.rounded_rectangle(box, (bottom - top) / 2, flavour.colour)
        box = _inset(box, 0.10, 0.18)
    ink = panel.ink_on(box, (255, 255, 255) if banded < 2 else product.base)
    words = product.noun.upper() if (product.design >> 15) % 2 else product.noun
    face = (BOLD, SPACED, PLAIN)[(product.design >> 16) % 3]
    left, top, right, bottom = box
    first, _, rest = words.partition(" ")
    if rest and len(words) > 9 and (right - left) < 5.2 * (bottom - top):
        split = top + (bottom - top) * 0.56
        write(panel.image, first, (left, top, right, split - 2), ink, face)
        write(panel.image, rest, (left, split + 2, right, bottom), ink, face)
    else:
        write(panel.image, words, box, ink, face)


def _foot(panel: Panel) -> None:
    product, height = panel.product, panel.image.height
    right_size = (product.design >> 18) % 2 == 0
    size, claim = ((0.62, 0.885, 0.97, 0.95), (0.03, 0.9, 0.56, 0.945))
    if not right_size:
        size, claim = ((0.03, 0.885, 0.38, 0.95), (0.44, 0.9, 0.97, 0.945))
    box, text = panel.place(size), panel.place(claim)
    write(
        panel.image,
        product.size,
        box,
        panel.ink_on(box, product.base),
        BOLD,
        1.0 if right_size else 0.0,
    )
    words = _CLAIMS[product.look % len(_CLAIMS)]
    if height > 150:
        write(
            panel.image,
            words,
            text,
            panel.ink_on(text, product.base),
            PLAIN,
            0.0 if right_size else 1.0,
        )


def _ribbon(panel: Panel, motif: Box) -> None:
    word = panel.product.ribbon.upper()
    colour: RGB = {"ORGANIC": (62, 124, 52), "NEW": (214, 30, 40), "VEGAN": (62, 124, 52)}.get(
        word, (196, 150, 42)
    )
    edge = min(panel.right - panel.left, panel.image.height) * 0.27
    x = min((motif[0] + motif[2] + motif[3] - motif[1]) / 2, motif[2]) - edge * 0.75
    y = motif[1] if (panel.product.design >> 19) % 2 else motif[3] - edge
    panel.draw.ellipse((x, y, x + edge, y + edge), colour)
    panel.draw.ellipse((x + 4, y + 4, x + edge - 4, y + edge - 4), None, (255, 255, 255), 2)
    mask = text_mask(word, round(edge * 0.8), round(edge * 0.34), BOLD)
    mask = mask.rotate(10, Image.Resampling.BILINEAR, expand=True)
    panel.image.paste(
        (255, 255, 255),
        (round(x + (edge - mask.width) / 2), round(y + (edge - mask.height) / 2)),
        mask,
    )


def _inset(box: Box, across: float, down: float) -> Box:
    left, top, right, bottom = box
    dx, dy = (right - left) * across, (bottom - top) * down
    return left + dx, top + dy, right - dx, bottom - dy
