"""Frequency and interval counters."""
