"""The socket side: connections, heartbeat, HTTP. Knows nothing of NATS."""
