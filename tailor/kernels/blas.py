"""The matrix product that compiled loops call: a BLAS that is loaded anyway, without a copy and without the GIL."""

from __future__ import annotations

from typing import Any

SYMBOL = "tailor_sgemm"

NAMES = ("scipy_sgemm_64_", "scipy_sgemm_", "sgemm_64_", "sgemm_")
"""How Fortran's ``sgemm`` is called in the BLAS that NumPy was built with."""

_sgemm: Any = None


def find_sgemm() -> Any:
    """Makes ``sgemm`` known to Numba under a name of our own: Fortran's, with every argument an address.

    An address instead of a name would be another one in the next process, and what is compiled could not be kept on
    disk. NumPy's own BLAS where it can be seen, otherwise SciPy's, which may be older and slower. Whole numbers are
    given as 64 bits, of which a library with smaller ones reads the lower half. Raises ``ImportError`` without Numba, and
    where the lower half does not come first.
    """
    global _sgemm
    if _sgemm is None:
        from llvmlite import binding
        from numba import types

        binding.add_symbol(SYMBOL, _address())
        _sgemm = types.ExternalFunction(SYMBOL, types.void(*(types.intp,) * 13))
    return _sgemm


def _address() -> int:
    import ctypes
    import sys

    from numba.extending import get_cython_function_address
    from numpy.linalg import _umath_linalg

    if sys.byteorder != "little":
        raise ImportError(f"expected a little-endian machine, got a {sys.byteorder}-endian one")
    library = ctypes.CDLL(_umath_linalg.__file__)  # a name is looked for in the libraries that this one needs, too
    for name in NAMES:
        if hasattr(library, name):
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    return int(get_cython_function_address("scipy.linalg.cython_blas", "sgemm"))
