"""Every call of the API, described once for the sync and the async client.

A builder turns arguments into a `Call` or `Pages` and touches no network; `client.py` runs those
blocking, `aio.py` awaiting. So signatures, requests and conversions live in one place.
"""
