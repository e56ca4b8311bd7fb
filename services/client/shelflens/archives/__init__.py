"""Zip and tar archives, read as they are: no member is ever written to a file of its name."""
