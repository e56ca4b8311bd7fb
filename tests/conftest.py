"""For all tests."""

import signal

pytest_plugins = ["tests.servers.fixtures"]

# A shell that starts `make test` in the background has it ignore Ctrl-C, and what the tests start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
