"""The loops over tags, in NumPy and in numba, with the same integers."""
