"""Looking around and refusing a recipe never loads torch, and takes no time."""

import os
import re
import resource
import subprocess
import sys

import pytest

from neuralfw.manifest import API

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
    assert processor_time(process, arguments, seconds) < seconds


@pytest.fixture
def crowd(tmp_path):
    """A folder on Python's path in which a hundred plugins are installed, of ten components each."""
    for k in range(100):
        package, facts = tmp_path / f"nfw_dummy_{k}", tmp_path / f"nfw_dummy_{k}-1.0.dist-info"
        package.mkdir()
        facts.mkdir()
        (package / "__init__.py").write_text("raise ImportError('only to be read')\n")
        names = "".join(
            f'\n[[component]]\nkind = "loss"\nname = "loss_{n}"\nclass = "nfw_dummy_{k}.losses:Loss"\n'
            f'config = "nfw_dummy_{k}.config:Config"\nsummary = "nothing"\nneeds = ["sdf"]\nobserves = ["points"]\n'
            for n in range(10)
        )
        (package / "neuralfw.toml").write_text(f'api = {API}\nowner = "dummy_{k}"\n{names}')
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nfw-dummy-{k}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[neuralfw]\ndummy_{k} = nfw_dummy_{k}\n")
    return os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])


def test_a_hundred_plugins_are_listed_in_no_time(process, crowd):
    listed = process("list", "loss", "--json", path=crowd).stdout
    assert sum(name.startswith("dummy_") for name in re.findall(r'"name": "(\w+)/', listed)) == 1000
    assert processor_time(process, ["list"], 0.5, path=crowd) < 0.5


def processor_time(process, arguments, enough, **options):
    """Return the least of a few runs, because the machine may be busy with something else."""
    times = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process(*arguments, **options)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if times[-1] < enough:
            break
    return min(times)
