"""Packshots: a product in the studio, as a shop shows it."""

from PIL import Image

from services.demo.catalog import DemoProduct
from services.demo.forms import Form, dress
from services.demo.lathe import turned_form
from services.demo.soft import FOLDS, SOFTS, soft_form
from services.demo.soft_print import soft_atlas
from services.demo.solid_print import solid_atlas
from services.demo.solids import SOLIDS, solid_form
from services.demo.vessel_print import vessel_atlas
from services.demo.vessels import VESSELS

# Labels are laid out in whole pixels: smaller pictures are drawn larger, then reduced.
_LEAST = 160


def render_packshot(product: DemoProduct, size: int = 480, view: int = 0) -> Image.Image:
    """The product on white, `size` x `size` pixels RGB; views other than 0 turn and relight it."""
    if size < _LEAST:
        return render_packshot(product, size * -(-_LEAST // size), view).resize((size, size))
    form, colours = _dressed(product, size, view)
    picture = form.ground.resize((size, size), Image.Resampling.BILINEAR)
    picture.paste(colours, form.box[:2], form.cover)
    return picture


def render_cutout(product: DemoProduct, size: int, view: int) -> Image.Image:
    """The product alone, RGBA, cropped to its pack; `size` (160 or more) is that of the
    whole packshot."""
    form, colours = _dressed(product, size, view)
    colours.putalpha(form.cover)
    return colours


def _dressed(product: DemoProduct, size: int, view: int) -> tuple[Form, Image.Image]:
    if product.shape in VESSELS:
        form = turned_form(product.shape, product.scale, size, view)
        return form, dress(form, vessel_atlas(product, form.atlas))
    if product.shape in SOLIDS:
        form = solid_form(product.shape, product.scale, size, view)
        return form, dress(form, solid_atlas(product, size))
    if product.shape in SOFTS:
        form = soft_form(product.shape, product.scale, size, view, product.design % FOLDS)
        return form, dress(form, soft_atlas(product, form.atlas))
    raise ValueError(f"no drawing for the shape {product.shape!r}")
