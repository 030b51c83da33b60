"""How long the command line takes to answer, as a ratio to `python -c pass`, in interleaved rounds.

The ratios are of processor time, which a busy machine changes least.

python benchmarks/startup.py [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

CODE = "from neuralfw.cli import main; main()"


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is measured: arguments of the interpreter by name."""
    wrong = folder / "wrong.toml"
    wrong.write_text('extends = "igr"\n[fields.sdf]\nwidht = 64\nlayers = "eight"\n')
    verbs = {"list": ["list"], "--help": ["--help"], "check, two faults": ["check", str(wrong)]}
    return {"python -c pass": ["-c", "pass"], **{name: ["-c", CODE, *verb] for name, verb in verbs.items()}}


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run the interpreter; return wall and processor seconds."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in (1, 2)]
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ, file_actions=actions), 0)
    os.close(null)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, used


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        named = commands(Path(folder))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in named}
        for _ in range(rounds):
            for name, arguments in named.items():
                times[name].append(measured(arguments))
    base = min(used for _, used in times["python -c pass"])
    print(f"{'':20}{'best':>9}{'median':>9}{'processor':>11}{'ratio':>8}")
    for name, pairs in times.items():
        walls = [wall for wall, _ in pairs]
        used = min(used for _, used in pairs)
        print(f"{name:20}{min(walls):8.3f}s{statistics.median(walls):8.3f}s{used:10.3f}s{used / base:8.1f}")


if __name__ == "__main__":
    main()
