"""The command line's families of commands, a module each.

Each module has `add(commands)`, which adds its parsers, and the functions that run them.  Only the standard library is
imported at module level here and there; each command imports its room when it runs, so that `qlab --help` answers at once.
"""
