"""The gateway's use cases: plain classes over the ports, in domain values."""
