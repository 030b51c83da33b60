"""neuralfw: neural surface reconstruction from plugins and recipes.

From Python every verb is one call: `run = neuralfw.train("igr")`, `run = neuralfw.open(directory)`,
`neuralfw.resume(directory)`, `neuralfw.compare(directories, page)`; then `run.mesh()`, `run.sdf(points)`,
`run.export()`, `run.eval()`, `run.report()`. They are imported on first use, so that `import neuralfw` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import compare, open, resume, train

__all__ = ["__version__", "compare", "open", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
