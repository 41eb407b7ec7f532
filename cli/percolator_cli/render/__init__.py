"""From data to what is shown: pure functions, no I/O and no clock. One file per command."""
