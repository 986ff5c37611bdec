"""Twins of time taggers."""
