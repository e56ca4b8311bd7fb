"""Implementations of the ports, one module or package each."""
