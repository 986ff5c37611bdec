"""Twins of frequency and interval counters."""
