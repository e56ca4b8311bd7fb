"""Worker that cuts manifests into shards and checks their rows."""
