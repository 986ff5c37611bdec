"""The byte channel to one instrument: VISA, serial, ZeroMQ or memory, under one policy."""
