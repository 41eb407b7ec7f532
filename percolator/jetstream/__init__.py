"""The NATS side: stream, feed, publishing, the embedded server. Knows nothing of sockets."""
