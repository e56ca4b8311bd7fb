"""The client's half of an import: read rows, hash images, upload what is missing, start."""
