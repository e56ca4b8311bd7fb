"""What a call is refused with."""

import grpc


class Refused(Exception):
    """Ends a call with a gRPC status; worded as Qdrant words it where a client may look."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def no_such_collection(name: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")


def bad_request(details: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {details}")
