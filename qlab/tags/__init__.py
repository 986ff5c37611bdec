"""Tag streams: containers, file formats, coincidences, delays, replay."""
