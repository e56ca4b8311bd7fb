"""How a process runs: settings, logs, Celery app, gRPC server, child processes."""
