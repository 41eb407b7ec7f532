"""The NATS side: stream, feed, replay, publishing, embedded server. No client sockets here."""
