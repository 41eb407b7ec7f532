"""The pure core: channel logs, cursors, limits, counters. No asyncio, no sockets, no wall clock."""
