"""What every twin is made of: framers, SCPI engine, line dialogues, wire faults, mounts, control channel."""
