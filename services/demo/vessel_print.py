"""What is on the surface of a turned pack: contents behind glass, caps, metal rims, labels."""

from PIL import Image, ImageDraw

from services.demo.catalog import DemoProduct
from services.demo.colours import darker, lighter, luminance, mix
from services.demo.flavours import FLAVOURS, RGB
from services.demo.forms import Atlas
from services.demo.grounds import gradient
from services.demo.lettering import SPACED, write
from services.demo.panels import draw_panel
from services.demo.vessels import VESSELS, Part, Vessel

_METAL: RGB = (206, 208, 212)
_SAFE = {"can": 0.40, "slimcan": 0.44, "tin": 0.46, "lowtin": 0.44, "tub": 0.44}
_PARTIAL = {"beer", "oil", "jar", "roundjar", "pump"}


def vessel_atlas(product: DemoProduct, atlas: Atlas) -> Image.Image:
    """The unwrapped surface (240 degrees wide) of the product's vessel, RGB."""
    vessel = VESSELS[product.shape]
    image = Image.new("RGB", atlas, (255, 255, 255))
    for part in vessel.parts:
        _print_part(image, product, vessel, part)
    return image


def _print_part(image: Image.Image, product: DemoProduct, vessel: Vessel, part: Part) -> None:
    width, height = image.size
    top, bottom = round(part.top * height), round(part.bottom * height)
    high = bottom - top
    if part.name == "label":
        _label(image, product, part, top, high)
    elif part.name == "rim":
        image.paste(_METAL, (0, top, width, bottom))
    elif part.name == "cap":
        image.paste(_cap_colour(product), (0, top, width, bottom))
        if product.shape in ("jar", "roundjar", "widejar"):
            ImageDraw.Draw(image).line((0, bottom - 8, width, bottom - 8), product.ground, 3)
    elif part.name == "neck":
        image.paste(product.base, (0, top, width, bottom))
        safe = (width * 0.38, top + high * 0.3, width * 0.62, bottom - high * 0.3)
        write(image, product.brand.upper(), safe, product.ink, SPACED)
    else:
        _contents(image, product, part, top, high)


def _label(image: Image.Image, product: DemoProduct, part: Part, top: int, high: int) -> None:
    width, height = image.size
    if product.shape == "shampoo":
        panel = _on_plastic(product, width, high)
    elif product.shape in _PARTIAL:
        # A glued label leaves the contents visible at its sides.
        _contents(image, product, part, top, high)
        reach = round(width * 0.62)
        panel = draw_panel(product, reach, high, 0.78)
        mask = Image.new("L", panel.size)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, reach - 1, high - 1), height // 50, 255)
        image.paste(panel, ((width - reach) // 2, top), mask)
        return
    else:
        panel = draw_panel(product, width, high, _SAFE.get(product.shape, 0.46))
    image.paste(panel, (0, top))


def _on_plastic(product: DemoProduct, width: int, high: int) -> Image.Image:
    return draw_panel(product, width, high, 0.42)


def _contents(image: Image.Image, product: DemoProduct, part: Part, top: int, high: int) -> None:
    width, height = image.size
    colour = _contents_colour(product)
    if part.material == "plastic":
        image.paste(colour, (0, top, width, top + high))
        return
    upper, lower = lighter(colour, 0.18), darker(colour, 0.08)
    image.paste(gradient(width, high, upper, lower), (0, top))
    surface = round(
        height
        * {"bottle": 0.13, "water": 0.13, "beer": 0.14, "oil": 0.25, "pump": 0.30}.get(
            product.shape, 0.21
        )
    )
    if part.top * height < surface and product.shape not in ("beer", "oil"):
        air = lighter(mix(colour, (226, 232, 234), 0.7), 0.2)
        image.paste(air, (0, top, width, surface))
        ImageDraw.Draw(image).line((0, surface, width, surface), darker(colour, 0.3), 3)


def _contents_colour(product: DemoProduct) -> RGB:
    colour = FLAVOURS[product.flavour].colour
    match product.shape:
        case "beer":
            return ((92, 48, 16), (34, 74, 40), (70, 38, 18))[product.look % 3]
        case "oil":
            return ((52, 66, 24), (150, 132, 30), (38, 44, 26))[product.look % 3]
        case "water":
            return mix(colour, (214, 234, 246), 0.80)
        case "pump":
            return mix(colour, (240, 244, 240), 0.45)
        case "shampoo" | "tub":
            return _plastic(product)
        case "jar":
            return darker(colour, 0.28)
        case "roundjar":
            return mix(colour, (196, 112, 12), 0.45)
        case "widejar":
            return mix(colour, (112, 68, 36), 0.35)
        case _:
            return mix(colour, darker(colour, 0.2), 0.5)


def _plastic(product: DemoProduct) -> RGB:
    return (product.ground, lighter(product.base, 0.1))[product.design % 2]


def _cap_colour(product: DemoProduct) -> RGB:
    colour = FLAVOURS[product.flavour].colour
    match product.shape:
        case "tub":
            return lighter(colour, 0.35)
        case "pump" | "shampoo":
            return ((248, 248, 246), product.base, (40, 40, 44))[product.look % 3]
        case "beer" | "oil":
            return product.base if luminance(product.base) > 0.12 else (188, 152, 72)
        case _:
            return ((246, 246, 244), product.base, colour, (204, 168, 84))[product.design % 4]
