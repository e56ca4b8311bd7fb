"""The whole of Shelflens behind one command, on embedded adapters."""
