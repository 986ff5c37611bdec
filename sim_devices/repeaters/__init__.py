"""Twins of repeater modules."""
