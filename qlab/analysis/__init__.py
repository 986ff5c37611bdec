"""Numbers from counts: Bell tests, visibilities, correlations, accidentals, error rates, predictions."""
