"""The gRPC edge: catalogues, uploads, imports, operations and search. No torch."""
