"""The ObjectStore over any server that speaks S3, through the `minio` client."""

from services.core.adapters.minio_objects.address import S3Address
from services.core.adapters.minio_objects.store import MinioObjects

__all__ = ["MinioObjects", "S3Address"]
