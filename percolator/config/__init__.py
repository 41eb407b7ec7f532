"""Configuration: the settings, the types of their values, and the sources that they come from."""
