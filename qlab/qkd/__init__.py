"""Quantum key distribution: Cascade so far, as two parties that exchange messages."""
