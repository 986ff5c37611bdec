"""Acme's bias supply for qlab."""
