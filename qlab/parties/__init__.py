"""Two parties as two processes: their channel, where their photons come from, and the commands that run them."""
