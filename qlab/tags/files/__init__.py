"""Files of time tags: qlab's own HDF5 gap blocks, text, PicoQuant PTU, quTAG; `open_tags` tells them apart."""
