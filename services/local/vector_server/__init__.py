"""The local profile's vector store: a child process that serves part of Qdrant's gRPC API.

It owns one qdrant-edge shard per collection, in a directory of its own:

    <data>/lock                     one server per data directory
    <data>/aliases.json             second names of collections
    <data>/<hash of name>/
        collection.json             name, dimension, distance, options
        current                     name of the generation that answers
        generation-<n>/             the shard: write-ahead log and segments
        journal                     updates made since a build began, only during one

A new collection gets the datatype, quantization, placement and graph that it is asked for;
quantization comes with the index, as in Qdrant. A payload index may be one of tenants: the
catalogues that share a collection. Shards, replicas and write consistency are accepted and mean
nothing in one process.

An acknowledged write is in the shard's write-ahead log, a mapped file that a killed process leaves
whole; opening the shard applies it again. Flushing only shortens that log.

Searching is exact while few points are unindexed. Then a build begins: the shard is copied to the
next generation, a niced child process (`builder`) makes its HNSW index and applies the journal,
the server opens the result, applies the rest, and switches `current` by a rename. Whatever is
killed on the way, `current` names a generation that has every acknowledged write; the others are
removed at the next start. Opening a generation holds the GIL, so a swap stalls searches: 0.3 s at
50,000 points, 0.7 s at 100,000, once per build.
"""
