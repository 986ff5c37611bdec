"""Photon sources and what keeps them at their working point."""
