"""What bytes are by how they begin: accepted formats, and names for those that are not."""

_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF = frozenset((b"avif", b"avis"))
_HEIF = frozenset((b"mif1", b"msf1"))  # a HEIF file of any codec: the compatible brands tell
_BRANDS = 64  # of a file type box that are looked at

# Start, and how people call it. Longer ones before those that they begin with.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"icns", "ICNS"),
    (b"P1", "Netpbm"),
    (b"P2", "Netpbm"),
    (b"P3", "Netpbm"),
    (b"P4", "Netpbm"),
    (b"P5", "Netpbm"),
    (b"P6", "Netpbm"),
    (b"P7", "Netpbm"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"Rar!", "RAR archive"),
    (b"7z\xbc\xaf", "7z archive"),
    (b"\x28\xb5\x2f\xfd", "Zstandard archive"),
    (b"BZh", "bzip2 archive"),
    (b"\xfd7zXZ\0", "XZ archive"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"#!", "script"),
)
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "SVG"),
    (b"<!doctype html", "web page"),
    (b"<html", "web page"),
    (b"<?xml", "XML document"),
    (b"{", "JSON text"),
)


def recognise(data: bytes) -> str:
    """JPEG, PNG, WEBP or AVIF; empty for everything else. Looks at the first bytes only."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if _is_avif(data) else ""


def advice(data: bytes, formats: tuple[str, ...]) -> str:
    """What the bytes are, as far as they tell, and what to do about it."""
    accepted = ", ".join(formats)
    if data[4:8] == b"ftyp":
        if _HEIC & _brands(data) or data[8:12] in _HEIF:
            return (
                f"it is HEIC: convert it to JPEG (`heif-convert photo.heic photo.jpg`, or set the "
                f"phone's camera to 'most compatible'); accepted: {accepted}"
            )
        return f"it is a video or another ISO media file; use {accepted}"
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((name for start, name in _FOREIGN if data.startswith(start)), "")
    found = found or next((name for start, name in _TEXTS if text.startswith(start)), "")
    if found == "XML document" and b"<svg" in data[:1024].lower():
        found = "SVG"
    return f"it looks like {found}; use {accepted}" if found else f"use {accepted}"


def _is_avif(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    return data[8:12] in _AVIF or (data[8:12] in _HEIF and bool(_AVIF & _brands(data)))


def _brands(data: bytes) -> frozenset[bytes]:
    """The major brand and the compatible ones."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 16 + 4 * _BRANDS)
    return frozenset((data[8:12], *(data[at : at + 4] for at in range(16, end, 4))))
