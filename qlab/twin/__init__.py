"""What every twin is made of: framers, SCPI engine, line dialogues, wire faults, mounts, control channel.

A twin is written without I/O and tested by calling it; a mount puts it on a wire:

- `conversation`: the contract of twin and mount, and `Dialogue`, which most conversations are;
- `framing`: cutting byte streams into messages;
- `scpi` (with `scpi_table`, `scpi_values`, ...): instruments that speak SCPI;
- `lines`: text instruments that do not;
- `bench`: what a twin may ask of the world;
- `host`: one thread that serves all twins of a lab on TCP, ptys, ZeroMQ, or in memory (`mount_*`, `mount`, `session`);
- `faults`: what goes wrong on wires;
- `control`, `control_client`: arming faults, switching power, stepping time from outside.
"""
