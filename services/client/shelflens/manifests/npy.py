"""Reading matrices from NumPy's .npy files, row by row and without NumPy: nothing is unpickled."""

import ast
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

from shelflens.errors import InvalidManifest
from shelflens.manifests.vectors import packed

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16
_KINDS = {"f2": 2, "f4": 4, "f8": 8}


class NpyFile:
    """A matrix [rows, columns] of float16, float32 or float64 on disk.

    Raises InvalidManifest (EMBEDDINGS_NOT_FOUND, EMBEDDINGS_UNREADABLE) for anything else, also
    for arrays of objects, and for files that are shorter or longer than their header says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb", buffering=1 << 20)
        except OSError as error:
            reason = "EMBEDDINGS_NOT_FOUND" if not path.exists() else "EMBEDDINGS_UNREADABLE"
            raise InvalidManifest(f"{path}: {error.strerror or error}", reason=reason) from None
        try:
            self._kind, self.rows, self.columns = self._header()
            self._start = self._file.tell()
            self._row_bytes = _KINDS[self._kind[1:]] * self.columns
            self._check_size()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Lets the file go."""
        self._file.close()

    def row(self, at: int) -> bytes:
        """Row `at`, from 0, as float32, little-endian; what float32 cannot hold is infinite."""
        self._file.seek(self._start + at * self._row_bytes)
        data = self._file.read(self._row_bytes)
        if len(data) < self._row_bytes:
            raise self._bad("it became shorter while it was read")
        if self._kind == "<f4":
            return data
        if self._kind[1:] == "f2":
            return packed(array("f", struct.unpack(f"{self._kind[0]}{self.columns}e", data)))
        values = array("d" if self._kind[1:] == "f8" else "f", data)
        if (self._kind[0] == ">") != (sys.byteorder == "big"):
            values.byteswap()
        return packed(array("f", values))

    def _header(self) -> tuple[str, int, int]:
        """Kind (`<f4`), rows and columns."""
        start = self._file.read(len(_MAGIC) + 2)
        if not start.startswith(_MAGIC) or len(start) < len(_MAGIC) + 2:
            raise self._bad("it is no .npy file; write one with numpy.save(file, matrix)")
        size = 2 if start[-2] == 1 else 4
        length = int.from_bytes(self._file.read(size), "little")
        if start[-2] not in (1, 2, 3) or length > _LONGEST_HEADER:
            raise self._bad("its header is not one of a matrix")
        try:
            header: Any = ast.literal_eval(self._file.read(length).decode("latin-1").strip())
            kind, fortran, shape = (header[each] for each in ("descr", "fortran_order", "shape"))
        except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
            raise self._bad("its header cannot be read") from None
        if not isinstance(kind, str) or kind[:1] not in "<>" or kind[1:] not in _KINDS:
            raise self._bad(f"its values are {kind!r}; convert them with .astype('float32')")
        matrix = isinstance(shape, tuple) and len(shape) == 2
        if not matrix or not all(type(each) is int and each > 0 for each in shape):
            raise self._bad(f"its shape is {shape}, not (rows, values of an embedding)")
        if fortran:
            raise self._bad("it lies column by column; save numpy.ascontiguousarray(matrix)")
        return kind, shape[0], shape[1]

    def _check_size(self) -> None:
        expected = self._start + self.rows * self._row_bytes
        size = self._path.stat().st_size
        if size != expected:
            raise self._bad(
                f"it has {size} bytes, and {self.rows} rows of {self.columns} values are {expected}"
            )

    def _bad(self, why: str) -> InvalidManifest:
        return InvalidManifest(f"{self._path}: {why}", reason="EMBEDDINGS_UNREADABLE")
