"""The command line: one file per command. It knows the service, the service knows nothing of it."""
