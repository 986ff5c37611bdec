"""The lab file, what is built from it, and the doctor."""
