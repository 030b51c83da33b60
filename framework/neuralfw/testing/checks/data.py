"""What datasets and samplers must hold."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...components import Draw
from ...streams import stream
from ..kit import check
from ..subject import NAME, Subject


def _opened(subject: Subject) -> tuple[Any, Any]:
    scene = subject.scene(roles=("sdf",))
    return scene, scene.data[NAME]


def _draw(subject: Subject, scene: Any, data: Any, name: str, index: int) -> dict[str, Tensor]:
    options = type(subject.spec.config).Draw()  # type: ignore[attr-defined]
    request = Draw(set=name, options=options, index=index, stream=partial(stream, 0, name, 0), scene=scene.view())
    drawn: dict[str, Tensor] = data.sample(request)
    return drawn


@check("dataset", "sampler")
def sets_hold_what_they_say(subject: Subject) -> None:
    """Each set that exists gives all quantities that its options declare, finite, and known ones."""
    scene, data = _opened(subject)
    for name, quantities in subject.spec.config.sets().items():  # type: ignore[attr-defined]
        if name and not data.holds(name) and len(subject.spec.config.sets()) > 1:  # type: ignore[attr-defined]
            continue
        drawn = _draw(subject, scene, data, name, 0)
        missing = {*quantities} - {*drawn}
        assert not missing, f"set {name!r} declares {', '.join(sorted(missing))} and does not give it"
        unknown = {*drawn} - {*subject.registry.quantities()}
        assert not unknown, f"set {name!r} gives {', '.join(sorted(unknown))}, which no vocabulary has"
        for quantity, value in drawn.items():
            assert not value.is_floating_point() or value.isfinite().all(), f"{quantity} is not finite"


@check("dataset", "sampler")
def draws_repeat(subject: Subject) -> None:
    """The same draw gives the same batch: nothing but the request's stream decides."""
    scene, data = _opened(subject)
    name = next(iter(subject.spec.config.sets()))  # type: ignore[attr-defined]
    first, same = (_draw(subject, scene, data, name, index) for index in (0, 0))
    for quantity, value in first.items():
        assert torch.equal(value, same[quantity]), f"{quantity} differs between two equal draws"


@check("sampler")
def draws_differ(subject: Subject) -> None:
    """Another draw gives another batch."""
    scene, data = _opened(subject)
    name = next(iter(subject.spec.config.sets()))  # type: ignore[attr-defined]
    first, other = (_draw(subject, scene, data, name, index) for index in (0, 1))
    same = all(value.shape == other[q].shape and torch.equal(value, other[q]) for q, value in first.items())
    assert not same, "two draws give the same batch"


@check("dataset", "sampler")
def batch_size_is_told(subject: Subject) -> None:
    """A batch holds no more samples than its options say."""
    scene, data = _opened(subject)
    config = subject.spec.config
    name = next(iter(config.sets()))  # type: ignore[attr-defined]
    drawn, most = _draw(subject, scene, data, name, 0), config.batch_size(type(config).Draw())  # type: ignore[attr-defined]
    if "points" in drawn:
        assert len(drawn["points"]) <= most, f"a batch has {len(drawn['points'])} points, its options say {most}"
