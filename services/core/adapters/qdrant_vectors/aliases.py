"""Aliases of collections, for tools beside Shelflens."""

from services.core.adapters.qdrant_vectors.connection import Connection
from services.core.adapters.qdrant_vectors.stubs import q
from services.core.domain.errors import AlreadyExists, InvalidArgument


class Aliases:
    """Second names of collections. Shelflens itself always uses the first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = q.CollectionsStub(connection.channel)  # type: ignore[no-untyped-call]

    def all(self) -> dict[str, str]:
        """Collection names by alias."""
        call = self._stub.ListAliases
        reply = self._connection.call(call, q.ListAliasesRequest(), about="aliases")
        return {each.alias_name: each.collection_name for each in reply.aliases}

    def point(self, alias: str, collection: str) -> None:
        """Both actions in one call, so that there is no moment without the alias."""
        actions = [
            q.AliasOperations(delete_alias=q.DeleteAlias(alias_name=alias)),
            q.AliasOperations(
                create_alias=q.CreateAlias(alias_name=alias, collection_name=collection)
            ),
        ]
        request = q.ChangeAliases(actions=actions)
        try:
            self._connection.call(self._stub.UpdateAliases, request, about=f"alias {alias}")
        except (AlreadyExists, InvalidArgument) as error:
            if "exists" not in error.message:
                raise
            raise AlreadyExists(
                f"alias {alias}: a collection has that name, choose another",
                reason="ALIAS_IS_A_COLLECTION",
            ) from error
