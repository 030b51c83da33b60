"""0 when it worked, 2 for a user's mistake, 1 for ours, 128 + signal when interrupted; messages end with what to do."""

import signal
import subprocess
import sys
import time

import pytest

from neuralfw import registry
from neuralfw.cli import main
from neuralfw.cli.app import BUG


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument"),
        (["runn", "x"], "Did you mean 'run'"),
        (["run", "igr", "--sett", "a=b"], "No such option"),
        (["run", "igr", "--device", "tpu"], "'auto', 'cpu'"),
        (["run", "no_such"], "no such recipe"),
        (["run", "igrr"], "closest: igr"),
        (["run", "igr", "--device", "cuda"], "--device cpu does"),
        (["run", "igr", "--set", "fields.sdf.widht=3"], "closest: width"),
        (["run", "igr", "--set", "nonsense"], "expected key=value"),
        (["resume", "no_such_run"], "is not a run directory"),
        (["eval", "no_such_run"], "is not a run directory"),
        (["export", "no_such_run"], "is not a run directory"),
        (["describe", "mlp_sfd"], "closest: mlp_sdf"),
        (["describe", "mesh_sequence"], "pip install neuralfw-n4de"),
        (["schema", "mlp_sfd"], "closest: mlp_sdf"),
        (["list", "fields"], "closest: field"),
        (["list", "--fits", "no_such"], "no such recipe"),
        (["plugin", "manifest"], "name the folder"),
        (["plugin", "manifest", "no_such"], "holds no neuralfw.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_of_the_user_is_one_message_and_status_2(cli, arguments, message):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.output
    assert result.stdout == ""


def test_missing_data_is_told_and_leaves_no_run_behind(cli, tmp_path, tiny_recipe):
    out = tmp_path / "out"
    result = cli("run", tiny_recipe(), "--set", "data.points.path=absent.ply", "--out", out)
    assert result.exit_code == 2 and "absent.ply" in result.stderr
    assert not out.exists() or not any(out.iterdir())


def test_a_fault_of_ours_keeps_its_traceback_and_says_so(monkeypatch, capsys):
    def broken(exclude=()):
        raise RuntimeError("a pipe burst")

    monkeypatch.setattr(registry, "discover", broken)
    monkeypatch.setattr(sys, "argv", ["neuralfw", "list"])
    with pytest.raises(SystemExit) as end:
        main()
    text = capsys.readouterr().err
    assert end.value.code == 1
    assert "Traceback" in text and "a pipe burst" in text and text.rstrip().endswith(BUG)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_says_how_to_go_on_and_does(cli, tmp_path, tiny_recipe, number, status):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "neuralfw", "run", tiny_recipe(), "--out", out, "--set", "stages.fit.steps=100000"]
    running = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 100
        while not _has_steps(out) and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(number)
        _, text = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == status
    assert text.rstrip().endswith(f"go on with: neuralfw resume {out}")
    assert "Traceback" not in text
    assert cli("eval", out).exit_code == 2
    assert [*(out / "checkpoints").glob("step-*")]


def _has_steps(run):
    metrics = run / "metrics.jsonl"
    return metrics.exists() and metrics.stat().st_size > 0
