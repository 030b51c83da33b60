"""What a component says of itself before torch is loaded: its options and its wiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option
from pydantic.json_schema import WithJsonSchema

from .schedules import Length, Number, Schedule, Scheduled

__all__ = [
    "Adam",
    "ComponentConfig",
    "DataConfig",
    "EncoderConfig",
    "FieldConfig",
    "InputPath",
    "Length",
    "Number",
    "Option",
    "Ref",
    "Schedule",
    "Scheduled",
    "Slot",
    "SparseAdam",
    "Spec",
    "Unit",
    "Wiring",
    "encodes_time",
    "of_space",
]


@dataclass(frozen=True)
class Wiring:
    """What a component takes and gives, for one setting of its options.

    Attributes:
        needs: quantities that must be predicted: by fields for a renderer, by the pass for a loss. A trailing "?"
            marks an optional one.
        observes: quantities that the batch must hold.
        supplies: coordinates at which a renderer evaluates fields of its own choice, such as points along rays.
        provides: each quantity given, with what it needs in turn.
        requires: facts that fields must have, as "role:capability"; their absence is refused.
        advises: the same, their absence being only unwise: a printed warning.
    """

    needs: tuple[str, ...] = ()
    observes: tuple[str, ...] = ()
    supplies: tuple[str, ...] = ()
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    advises: tuple[str, ...] = ()


class ComponentConfig(BaseModel):
    """Options of a component. Subclasses live in modules that import no torch."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=False, allow_inf_nan=False
    )

    def wiring(self) -> Wiring:
        """Return what the component needs and provides for these options."""
        return Wiring()


@dataclass(frozen=True)
class Spec:
    """A component chosen and configured, not yet built.

    Attributes:
        kind: kind of the component, such as "field".
        name: its full name, "owner/name".
        config: its validated options.
        place: where it stands in the recipe, such as "fields.sdf.encoder"; names its random stream.
    """

    kind: str
    name: str
    config: ComponentConfig
    place: str = ""

    @property
    def short(self) -> str:
        """The name without its owner."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Slot:
    """Marks an option that holds a component: `Annotated[Spec, Slot("encoder", "identity")]`.

    `kinds` are the kinds that fit (alternatives separated by "|"), `default` what stands there when nothing is said.
    """

    kinds: str
    default: str | None = None


@dataclass(frozen=True)
class Ref:
    """Marks a text option that names something else of the recipe: a field (of a role) or a data table."""

    table: str
    role: str | None = None


@dataclass(frozen=True)
class Unit:
    """Marks the unit of an option, shown by `describe`."""

    text: str


class PathMark:
    """Marks a path that is relative to the recipe file that wrote it."""


InputPath = Annotated[Path, PathMark(), WithJsonSchema({"type": "string", "format": "path"})]


class Adam(BaseModel):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); `decoupled` makes it AdamW (arXiv 1711.05101)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = "adam"
    lr: Annotated[Number, Scheduled(ge=0)] = Option(1e-3, description="learning rate")
    betas: tuple[float, float] = Option((0.9, 0.999), description="decay of the two running means")
    eps: float = Option(1e-8, gt=0, description="added to the denominator")
    weight_decay: float = Option(0.0, ge=0, description="pull of the parameters towards zero")
    decoupled: bool = Option(False, description="AdamW: the decay does not pass through the running means")


class SparseAdam(BaseModel):
    """Adam whose rows move, and whose running means decay, only when they receive a gradient."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = "sparse_adam"
    lr: Annotated[Number, Scheduled(ge=0)] = Option(1e-3, description="learning rate")
    betas: tuple[float, float] = Option((0.9, 0.999), description="decay of the two running means")
    eps: float = Option(1e-8, gt=0, description="added to the denominator")


OPTIMISERS: dict[str, type[Adam] | type[SparseAdam]] = {"adam": Adam, "sparse_adam": SparseAdam}


class FieldConfig(ComponentConfig):
    """Options of a field."""

    role: ClassVar[str]

    def capabilities(self) -> frozenset[str]:
        """Return the facts true of the field: time latent features signed metric second_order lipschitz box."""
        return frozenset()

    def optimisers(self) -> Mapping[str, Adam | SparseAdam]:
        """Return the field's own optimisers, by prefix of the parameter names ("" is all)."""
        return {"": Adam()}


class EncoderConfig(ComponentConfig):
    """Options of an encoder."""

    def inputs(self) -> tuple[str, ...]:
        """Return what is encoded: the quantity `points`, and `time` as a last coordinate where that is encoded too."""
        return ("points",)


def encodes_time(encoder: Spec) -> bool:
    """Say whether an encoder takes time as its last coordinate."""
    return isinstance(encoder.config, EncoderConfig) and "time" in encoder.config.inputs()


def of_space(encoder: Spec) -> Spec:
    """Return an encoder of points alone.

    Raises:
        ValueError: it takes time too.
    """
    if encodes_time(encoder):
        raise ValueError(f"{encoder.short} takes time as well as points; here an encoder of points alone is wanted")
    return encoder


class DataConfig(ComponentConfig):
    """Options of a dataset or sampler."""

    class Draw(BaseModel):
        """Options that a pass may give to say how a batch is drawn. The base takes none."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def sets(self) -> Mapping[str, tuple[str, ...]]:
        """Return the named sets and the quantities of their batches; the first is the default."""
        raise NotImplementedError(type(self).__name__)

    def batch_size(self, draw: BaseModel) -> int:
        """Return how many samples a batch holds at most; `draw` is what a pass says. The base looks for `batch`."""
        return int(getattr(draw, "batch", getattr(self, "batch", 1)))

    def wiring(self) -> Wiring:
        first = next(iter(self.sets().values()))
        return Wiring(provides={q: () for q in first})


def options(config: type[BaseModel]) -> dict[str, Any]:
    """Return a model's options by the key that a recipe writes."""
    return {f.alias or name: f for name, f in config.model_fields.items()}
