"""Clocks kept together by photon pairs: search for their relation, tracking, time transfer."""
