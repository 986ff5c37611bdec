"""The byte channel to one instrument: VISA, serial, ZeroMQ, UDP or memory, under one policy."""
