"""Every kind of hostile manifest, in one table."""

from tests.hostile.cell_manifests import cell_manifests, path_manifests
from tests.hostile.json_manifests import json_manifests
from tests.hostile.manifest_kinds import HostileManifest
from tests.hostile.text_manifests import text_manifests

MANIFESTS: tuple[HostileManifest, ...] = (
    *text_manifests(),
    *cell_manifests(),
    *json_manifests(),
    *path_manifests(),
)
