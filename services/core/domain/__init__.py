"""Rules and values of product search: standard library and numpy only."""
