"""Every kind of hostile image, in one table."""

from tests.hostile.avif_files import AVIF_FILES
from tests.hostile.foreign_files import FOREIGN_FILES
from tests.hostile.jpeg_files import JPEG_FILES
from tests.hostile.kinds import HostileImage
from tests.hostile.png_files import PNG_FILES
from tests.hostile.webp_files import WEBP_FILES

IMAGES: tuple[HostileImage, ...] = (
    *PNG_FILES,
    *JPEG_FILES,
    *WEBP_FILES,
    *AVIF_FILES,
    *FOREIGN_FILES,
)
