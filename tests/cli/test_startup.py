"""Looking around and refusing a recipe never loads torch, and takes no time."""

import resource
import subprocess
import sys

import pytest

LOOKS = "print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules], file=sys.stderr)"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["list"],
        ["list", "field", "--json"],
        ["list", "--fits", "igr"],
        ["describe", "mlp_sdf"],
        ["schema"],
        ["frobnicate"],
        ["run", "igr", "--set", "fields.sdf.widht=3"],
        ["check", "igr", "--set", "fields.sdf.width=wide"],
        ["check", "igr", "--set", "fields.sdf.width=0"],
        ["check", "no_such_recipe"],
    ],
    ids=" ".join,
)
def test_torch_stays_out(process, arguments):
    result = process(*arguments, after=LOOKS)
    assert result.stderr.splitlines()[-1] == "[]", result.stderr
    refused = arguments[0] in ("run", "check", "frobnicate") and "--help" not in arguments
    assert result.returncode == (2 if refused else 0)


def test_importing_neuralfw_imports_nothing_else():
    code = "import sys, neuralfw; print({'torch', 'pydantic', 'typer', 'rich', 'numpy'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["list"], 0.3),
        (["--help"], 0.3),
        (["run", "igr", "--set", "fields.sdf.widht=3"], 1.0),
        (["run", "igr", "--set", "fields.sdf.width=wide"], 1.0),
    ],
    ids=["list", "help", "wrong key", "wrong type"],
)
def test_processor_time(process, arguments, seconds):
    """Processor time, because the machine may be busy with something else; the best of a few."""
    times = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if times[-1] < seconds:
            break
    assert min(times) < seconds
