"""Counts over tag streams of any length: fed piece by piece in constant memory, merged, stored, and exact to the tag."""
