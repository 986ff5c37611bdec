"""Repeater modules: memories that are entangled with others over a heralded link."""
