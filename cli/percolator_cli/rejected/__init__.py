"""`percolator rejected`: which events were rejected, and why, from a gateway or from NATS."""
