"""What an attack costs honest clients: `python -m tests.benchmarks.flood`."""
