"""What the wave plates of two analysers add to the uncertainty of S."""

from qlab.analysis.analyser_errors import PlateErrors, chsh_settings_error

__all__ = ["SettingPlates"]


class SettingPlates:
    """Notes where plates are sent to at the four CHSH settings, in the order (a, b), (a, b'), (a', b), (a', b').

    Parameters
    ----------
    alice, bob : PolarisationAnalyser
        Those that tell their plates' angles have errors; others count as exact.
    zero_deg, retardance_deg : float
        Standard uncertainties of all plates' axes and retardances.
    """

    def __init__(self, alice, bob, zero_deg, retardance_deg):
        self._parties = (alice, bob)
        self._systematic = (zero_deg, retardance_deg)
        self._angles: tuple[dict[int, tuple[float, float]], ...] = ({}, {})

    def note(self, setting):
        """Take the angles that the plates have been sent to for a setting, 0 to 3."""
        for party, angles, index in zip(self._parties, self._angles, divmod(setting, 2), strict=True):
            angles[index] = party.plate_angles_deg or (0.0, 0.0)

    def error(self, t, rounds):
        """Return the plates' `SettingsError` of S after some rounds, in each of which they were turned anew.

        Parameters
        ----------
        t : array
            Correlations along Z, X, Y in the aligned frames, shape (3, 3).
        rounds : int
            How many.
        """
        zero_deg, retardance_deg = self._systematic
        errors = []
        for party in self._parties:
            if party.plate_angles_deg is None:
                errors.append(PlateErrors())
            else:
                errors.append(PlateErrors(party.plate_repeatability_deg / rounds**0.5, zero_deg, retardance_deg))
        bare = self._parties[0].frame_rotation @ t @ self._parties[1].frame_rotation.T
        ours, theirs = ([angles[0], angles[1]] for angles in self._angles)
        return chsh_settings_error(bare, ours, theirs, *errors)
