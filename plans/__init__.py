"""Experiments: Bluesky plans written against the roles of `qlab.roles`."""
