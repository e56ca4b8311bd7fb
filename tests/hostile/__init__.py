"""Makers of files that nobody should have to receive, each with the verdict that it deserves."""
