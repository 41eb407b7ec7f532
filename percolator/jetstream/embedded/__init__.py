"""The nats-server that the gateway starts itself: process, watchdog and data folder."""
