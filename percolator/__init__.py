"""percolator: the market-data gateway for perp exchanges.

NATS JetStream in, WebSocket out. `percolator.app.service` is the composition root;
`percolator.client` is the client for Python programs.
"""

__version__ = "0.1.0"
