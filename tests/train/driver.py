"""Runs or resumes a toy recipe in a process of its own, which a test may kill: `driver.py '{"recipe": …, "out": …}'`.

Options: `resume`; `kill_after_step`; `kill_in_save`: number of the file operation of a save during which to die;
`signal_at_step` and `signal`: send itself a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "plugin"))

from neuralfw.errors import UserError
from neuralfw.hooks import hook
from neuralfw.session import resume, train
from neuralfw.training import checkpoint
from neuralfw.training.signals import Interrupted


class Watch:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    @hook
    def neuralfw_step_end(self, trainer: Any, ctx: Any) -> None:
        if trainer.clock.run == self.options.get("kill_after_step"):
            os.kill(os.getpid(), signal.SIGKILL)
        if trainer.clock.run == self.options.get("signal_at_step"):
            os.kill(os.getpid(), self.options["signal"])


def die_in_save(operation: int) -> None:
    """Make the process die at the n-th of the digests and synchronisations by which checkpoints are written."""
    done = 0

    def counted(function: Any) -> Any:
        def call(path: Path) -> Any:
            nonlocal done
            done += 1
            if done == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(path)

        return call

    checkpoint._digest, checkpoint._sync = counted(checkpoint._digest), counted(checkpoint._sync)


def main(options: dict[str, Any]) -> int:
    if "kill_in_save" in options:
        die_in_save(options["kill_in_save"])
    try:
        if options.get("resume"):
            resume(Path(options["out"]), say=print, watchers=[Watch(options)])
        else:
            train(options["recipe"], out=Path(options["out"]), say=print, watchers=[Watch(options)])
    except Interrupted as error:
        print(error)
        return error.exit_status
    except UserError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
