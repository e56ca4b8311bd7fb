"""Thin gRPC edges: decode, call a use case, encode."""
