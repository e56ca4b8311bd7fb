"""The S3 server."""

from services.core.adapters.minio_objects import MinioObjects, S3Address
from services.core.runtime.service_settings import ObjectSettings
from services.core.runtime.startup import wait_for


def open_objects(settings: ObjectSettings) -> MinioObjects:
    """Returns when the server has the bucket, which is made when missing.

    Raises InvalidArgument (BAD_S3_ADDRESS), FailedPrecondition (OBJECTS_DENIED).
    """
    objects = MinioObjects(
        S3Address(
            settings.s3_url,
            settings.s3_bucket,
            settings.s3_access_key.get_secret_value(),
            settings.s3_secret_key.get_secret_value(),
            region=settings.s3_region,
            path_style=settings.s3_path_style,
            ca_file=str(settings.s3_ca_file or ""),
        )
    )
    wait_for("object store", objects.ensure_bucket)
    return objects
