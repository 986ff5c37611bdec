"""Tags for other people's tools: Photon-HDF5 and Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError, StorageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

    from qlab.tags.stream import TagBlock

__all__ = ["ParquetWriter", "PhotonHdf5Writer"]

_SETUP = {
    "num_pixels": 1,
    "num_spots": 1,
    "num_spectral_ch": 1,
    "num_polarization_ch": 1,
    "num_split_ch": 1,
    "modulated_excitation": 0,
    "lifetime": 0,
}
"""Fields of /setup that Photon-HDF5 0.5 wants of every file."""
_CHUNK = 1 << 16


class ParquetWriter:
    """Columns `time_ps` (int64) and `channel` (uint8), gaps of times delta-coded; needs pyarrow.

    Raises
    ------
    BadRequestError
        pyarrow is not installed.
    StorageError
        The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            msg = "Parquet needs pyarrow: pip install pyarrow"
            raise BadRequestError(msg) from error
        self._pa = pa
        schema = pa.schema([("time_ps", pa.int64()), ("channel", pa.uint8())])
        try:
            self._writer: Any = parquet.ParquetWriter(
                path,
                schema,
                compression="zstd",
                use_dictionary=["channel"],
                column_encoding={"time_ps": "DELTA_BINARY_PACKED"},
            )
        except OSError as error:
            msg = f"{path}: cannot be written: {error}"
            raise StorageError(msg) from error
        self._schema = schema

    def append(self, block: TagBlock) -> None:
        """Write a block as a row group."""
        if block.n:
            self._writer.write_table(self._pa.table([block.t, block.ch], schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class PhotonHdf5Writer:
    """Photon-HDF5 0.5: A. Ingargiola, T. Laurence, R. Boutelle, S. Weiss and X. Michalet, Biophys. J. 110, 26 (2016).

    Raises
    ------
    StorageError
        The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        try:
            self._file: Any = h5py.File(path, "x")
        except OSError as error:
            msg = f"{path}: cannot be written: {error}"
            raise StorageError(msg) from error
        self._file.attrs["format_name"] = np.bytes_("Photon-HDF5")
        self._file.attrs["format_version"] = np.bytes_("0.5")
        data = self._file.create_group("photon_data")
        self._t = data.create_dataset("timestamps", (0,), "i8", maxshape=(None,), chunks=(_CHUNK,))
        self._ch = data.create_dataset("detectors", (0,), "u1", maxshape=(None,), chunks=(_CHUNK,))
        data.create_group("timestamps_specs").create_dataset("timestamps_unit", data=1e-12)
        setup = self._file.create_group("setup")
        for name, number in _SETUP.items():
            setup.create_dataset(name, data=number)
        setup.create_dataset("excitation_cw", data=np.array([1]))
        self._file.create_dataset("description", data=np.bytes_("time tags written by qlab; times in ps"))
        identity = self._file.create_group("identity")
        identity.create_dataset("software", data=np.bytes_("qlab"))
        identity.create_dataset("format_name", data=np.bytes_("Photon-HDF5"))
        identity.create_dataset("format_version", data=np.bytes_("0.5"))
        self._live_s = 0.0

    def append(self, block: TagBlock) -> None:
        """Write a block."""
        n = self._t.shape[0]
        for dataset, values in ((self._t, block.t), (self._ch, block.ch)):
            dataset.resize((n + block.n,))
            dataset[n:] = values
        self._live_s += block.live_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.create_dataset("acquisition_duration", data=self._live_s)
        self._file.close()
