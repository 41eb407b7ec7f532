"""The command line: one file a command. It knows the service, the service knows nothing of it."""
