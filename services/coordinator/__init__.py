"""Owns the records with the gateway, and alone publishes the next stage of an operation."""
