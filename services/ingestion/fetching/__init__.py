"""Images from addresses that strangers wrote: polite, bounded, and never from inside our network.

`Fetcher` is the entry; docs/fetching.md has the rules.
"""
