"""Wave plates and analysers."""
