"""The turned packs (bottles, jars, cans, tubs): their outlines and what each part is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A stretch of a vessel from `top` to `bottom` (0 = top of the pack, 1 = its foot)."""

    name: str
    top: float
    bottom: float
    material: str


@dataclass(frozen=True)
class Vessel:
    """A turned pack: `outline` of (place 0..1 from the top, radius in heights), and its parts.

    `height` is the pack's height as a share of the picture; parts are ordered from the top and
    cover 0..1 without a gap.
    """

    height: float
    outline: tuple[tuple[float, float], ...]
    parts: tuple[Part, ...]
    lid: str = "plain"


def _parts(*rows: tuple[str, float, str]) -> tuple[Part, ...]:
    edges = [0.0, *(row[1] for row in rows)]
    return tuple(Part(row[0], edges[i], row[1], row[2]) for i, row in enumerate(rows))


# fmt: off
VESSELS: dict[str, Vessel] = {
    "bottle": Vessel(0.88, ((0, 0.068), (0.085, 0.073), (0.088, 0.057), (0.15, 0.061), (0.24, 0.11),
                            (0.34, 0.163), (0.40, 0.171), (0.42, 0.166), (0.86, 0.166),
                            (0.88, 0.171), (0.96, 0.167), (1, 0.141)),
                     _parts(("cap", 0.086, "ribbed"), ("body", 0.43, "glass"),
                            ("label", 0.85, "paper"), ("body", 1.0, "glass"))),
    "water": Vessel(0.88, ((0, 0.056), (0.06, 0.058), (0.064, 0.047), (0.10, 0.049), (0.20, 0.112),
                           (0.28, 0.143), (0.33, 0.148), (0.345, 0.139), (0.36, 0.148),
                           (0.38, 0.143), (0.70, 0.143), (0.72, 0.15), (0.76, 0.139),
                           (0.80, 0.15), (0.84, 0.139), (0.88, 0.15), (0.95, 0.148), (1, 0.125)),
                    _parts(("cap", 0.062, "ribbed"), ("body", 0.39, "clear"),
                           ("label", 0.69, "sheen"), ("body", 1.0, "clear"))),
    "beer": Vessel(0.90, ((0, 0.048), (0.028, 0.051), (0.03, 0.042), (0.05, 0.044), (0.06, 0.04),
                          (0.22, 0.052), (0.32, 0.068), (0.44, 0.123), (0.50, 0.134), (0.97, 0.134),
                          (1, 0.119)),
                   _parts(("cap", 0.029, "metal"), ("body", 0.10, "glass"),
                          ("neck", 0.20, "paper"), ("body", 0.52, "glass"),
                          ("label", 0.90, "paper"), ("body", 1.0, "glass"))),
    "oil": Vessel(0.90, ((0, 0.039), (0.11, 0.041), (0.115, 0.034), (0.24, 0.038), (0.32, 0.059),
                         (0.40, 0.109), (0.46, 0.121), (0.97, 0.121), (1, 0.107)),
                  _parts(("cap", 0.113, "sheen"), ("body", 0.49, "glass"),
                         ("label", 0.90, "paper"), ("body", 1.0, "glass"))),
    "jar": Vessel(0.76, ((0, 0.272), (0.15, 0.276), (0.155, 0.262), (0.19, 0.266), (0.25, 0.30),
                         (0.33, 0.318), (0.92, 0.318), (0.97, 0.305), (1, 0.27)),
                  _parts(("cap", 0.152, "metal"), ("body", 0.36, "glass"),
                         ("label", 0.86, "paper"), ("body", 1.0, "glass"))),
    "roundjar": Vessel(0.74, ((0, 0.24), (0.16, 0.244), (0.165, 0.232), (0.20, 0.24), (0.30, 0.32),
                              (0.45, 0.372), (0.60, 0.385), (0.75, 0.372), (0.90, 0.32),
                              (1, 0.24)),
                       _parts(("cap", 0.163, "metal"), ("body", 0.36, "glass"),
                              ("label", 0.82, "paper"), ("body", 1.0, "glass"))),
    "widejar": Vessel(0.66, ((0, 0.36), (0.20, 0.365), (0.205, 0.345), (0.24, 0.36), (0.30, 0.40),
                             (0.38, 0.41), (0.90, 0.41), (0.96, 0.395), (1, 0.35)),
                      _parts(("cap", 0.203, "ribbed"), ("body", 0.33, "glass"),
                             ("label", 0.88, "paper"), ("body", 1.0, "glass"))),
    "can": Vessel(0.80, ((0, 0.206), (0.012, 0.213), (0.022, 0.209), (0.07, 0.252), (0.09, 0.256),
                         (0.93, 0.256), (0.95, 0.252), (0.985, 0.214), (1, 0.208)),
                  _parts(("rim", 0.03, "metal"), ("label", 0.955, "sheen"), ("rim", 1.0, "metal")),
                  "can"),
    "slimcan": Vessel(0.88, ((0, 0.132), (0.01, 0.137), (0.018, 0.134), (0.05, 0.160),
                             (0.065, 0.163), (0.95, 0.163), (0.965, 0.160), (0.99, 0.138),
                             (1, 0.134)),
                      _parts(("rim", 0.024, "metal"), ("label", 0.968, "sheen"),
                             ("rim", 1.0, "metal")), "can"),
    "tin": Vessel(0.72, ((0, 0.345), (0.012, 0.358), (0.03, 0.358), (0.04, 0.345), (0.96, 0.345),
                         (0.97, 0.358), (0.99, 0.358), (1, 0.345)),
                  _parts(("rim", 0.045, "metal"), ("label", 0.955, "paper"),
                         ("rim", 1.0, "metal")), "can"),
    "lowtin": Vessel(0.40, ((0, 0.93), (0.03, 0.97), (0.07, 0.97), (0.09, 0.94), (0.92, 0.94),
                            (0.94, 0.97), (0.98, 0.97), (1, 0.93)),
                     _parts(("rim", 0.10, "metal"), ("label", 0.91, "paper"),
                            ("rim", 1.0, "metal")), "can"),
    "shampoo": Vessel(0.86, ((0, 0.098), (0.13, 0.108), (0.134, 0.100), (0.15, 0.102), (0.21, 0.15),
                             (0.30, 0.176), (0.45, 0.180), (0.80, 0.168), (0.96, 0.158),
                             (1, 0.142)),
                      _parts(("cap", 0.132, "plastic"), ("body", 0.25, "plastic"),
                             ("label", 0.93, "plastic"), ("body", 1.0, "plastic"))),
    "pump": Vessel(0.88, ((0, 0.052), (0.05, 0.056), (0.055, 0.018), (0.14, 0.018), (0.145, 0.058),
                          (0.215, 0.062), (0.22, 0.054), (0.24, 0.06), (0.31, 0.15), (0.37, 0.170),
                          (0.95, 0.170), (0.98, 0.160), (1, 0.146)),
                   _parts(("cap", 0.218, "plastic"), ("body", 0.40, "clear"),
                          ("label", 0.90, "paper"), ("body", 1.0, "clear")), "spout"),
    "tub": Vessel(0.66, ((0, 0.455), (0.04, 0.462), (0.05, 0.452), (0.055, 0.42), (0.10, 0.415),
                         (0.90, 0.342), (0.95, 0.336), (1, 0.31)),
                  _parts(("cap", 0.053, "metal"), ("label", 0.94, "plastic"),
                         ("body", 1.0, "plastic")), "foil"),
}
# fmt: on
