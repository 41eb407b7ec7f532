"""The socket side: connections, admission, heartbeat, HTTP. Knows neither NATS nor the hub."""
