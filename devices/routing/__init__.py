"""Optical switches and attenuators."""
