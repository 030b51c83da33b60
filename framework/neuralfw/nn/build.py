"""Compiling a C++ source, once per machine, into the user's cache folder."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

COMPILERS = ("g++", "clang++", "c++")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")
SECONDS = 120


class BuildError(Exception):
    """Why a library could not be built; the message fits one line."""


def build_library(source: Path) -> tuple[ctypes.CDLL, str]:
    """The compiled `source`, from the cache where it is there, and a line that says how it was made.

    The file's name tells the compiler, its version, the processor's features and the source apart, so that a cache
    shared by several machines is safe. Raises `BuildError`.
    """
    compiler = find_compiler()
    digest = hashlib.sha256(source.read_bytes() + _target(compiler) + repr((FLAGS, _openmp())).encode()).hexdigest()
    folder = cache_folder()
    library = folder / f"{source.stem}-{digest[:16]}.so"
    try:
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _compile(compiler, source, library)
        return ctypes.CDLL(str(library)), f"{compiler}, {library}"
    except OSError as error:
        raise BuildError(f"{library} cannot be written or loaded: {error}") from error


def find_compiler() -> str:
    """The path of `$CXX` or the first of g++, clang++, c++ on the path. Raises `BuildError`."""
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else COMPILERS:
        if path := shutil.which(name):
            return path
    raise BuildError(f"no C++ compiler found (looked for {wanted or ', '.join(COMPILERS)})")


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/neuralfw`, by default `~/.cache/neuralfw`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuralfw"


def _compile(compiler: str, source: Path, library: Path) -> None:
    """Through a temporary file, so that processes that build at the same time do not see half a library."""
    handle, name = tempfile.mkstemp(dir=library.parent, suffix=".so")
    os.close(handle)
    try:
        for openmp in (_openmp(), ()):  # a compiler without OpenMP still gives fused passes, on one thread
            command = [compiler, *FLAGS, str(source), *openmp, "-o", name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            if done.returncode == 0:
                os.replace(name, library)
                return
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["without a message"]
        raise BuildError(f"{compiler} failed: {lines[0]}")
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{compiler} took more than {SECONDS} s") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _openmp() -> tuple[str, ...]:
    """OpenMP, by the runtime that torch brings where it brings one: two thread pools would contend for the cores."""
    bundled = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return (*(str(path) for path in bundled[:1]), "-Wl,--as-needed", "-fopenmp") if bundled else ("-fopenmp",)


def _target(compiler: str) -> bytes:
    """The compiler's predefined macros: its version and the processor's features."""
    command = [compiler, "-march=native", "-E", "-dM", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    if done.returncode:
        raise BuildError(f"{compiler} does not know -march=native")
    return done.stdout
