"""Projections: folds of the stream into other streams. Pure: no NATS, no waiting, no clock."""
