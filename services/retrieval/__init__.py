"""Arithmetic on embeddings, in numpy alone."""
