"""Twins of optical switches and attenuators."""
