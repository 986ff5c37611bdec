"""qlab: a quantum-network laboratory from the Bluesky RunEngine, on instruments or on their twins."""

__all__ = ["__version__"]

__version__ = "0.1.0"
