"""The vocabulary: kinds, channels, events, messages and commands. Pure; imports no other room."""
