"""Access tokens: the keys that sign them, and what they allow."""
