"""A resolved recipe: every component chosen, every option validated, nothing built yet. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..config import Adam, InputPath, Length, Number, Scheduled, Slot, SparseAdam, Spec


class Table(BaseModel):
    """A table of a recipe that is not a component."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class FrameTable(Table):
    """[frame]: how the world is brought into the training space."""

    fit: Literal["sphere", "centroid_sphere", "box", "area", "cameras", "file", "none"] = Field(
        "sphere", description="what is brought to `size`: radius about the box centre or the mean, longest edge, area"
    )
    size: float = Field(1.0, gt=0, description="radius, edge or area in the training space")
    path: InputPath | None = Field(None, description='frame file, with fit = "file"')


class CheckpointTable(Table):
    """[checkpoint]: when the state is saved."""

    every: Length = Field(1000, description="steps between checkpoints; 0 saves only at stage ends")
    keep: int = Field(2, ge=1, description="how many of the newest stay, besides the best")


class LogTable(Table):
    """[log]: what is written down while training."""

    every: int = Field(20, ge=1, description="steps between lines of metrics.jsonl")
    tensorboard: bool = Field(True, description="write TensorBoard event files")
    pictures: int | None = Field(
        None,
        ge=1,
        description="steps between pictures in TensorBoard and meshes, there and in meshes/steps/, also at the end of "
        "each stage; default: none",
    )
    report: bool = Field(True, description="write report.html, the page of the run, when it ends")


class ValidationTable(Table):
    """[validation]: held-out data judged by the losses of the stage."""

    set: str = Field("val", description="set of the stage's data that is held out")
    every: Length = Field(500, description="steps between validations")
    batches: int = Field(4, ge=1, description="batches drawn, the same ones each time")
    patience: int | None = Field(None, ge=1, description="validations without a new best after which the stage ends")


_Corner = tuple[float, float, float]


class ExportTable(Table):
    """[export]: the mesh written when training ends."""

    mesher: Annotated[Spec, Slot("mesher", "marching_cubes")]
    format: Literal["ply", "obj", "glb", "stl"] = Field("ply", description="file format of the mesh")
    crop: tuple[_Corner, _Corner] | None = Field(
        None, description="lower and upper corner of the box that is kept, in world units"
    )
    cull: bool = Field(False, description="drop faces that no training photograph sees")
    keep: Literal["all", "largest"] | Annotated[int, Field(ge=1)] = Field(
        "all", description="connected parts that stay: all, the largest by area, or so many of the largest"
    )
    colors: bool = Field(True, description="colour the vertices as the scene renders, where it renders rgb")


class EvaluateTable(Table):
    """[evaluate]: what the result is compared with when training ends."""

    reference: InputPath | None = Field(None, description="mesh or cloud taken as the truth, in world units")
    protocol: str = Field("neuralfw", description="named protocol of the figures of the mesh against the reference")
    views: bool = Field(True, description="compare with the photographs held out, where the data have a set test")


class Pass(Table):
    """One way in which data and scene meet in a step: data is drawn, a renderer predicts."""

    data: str | None = Field(None, description="data table, its set after a dot, or another pass")
    renderer: str = Field("query", description="table under [renderers], or a type of renderer with its defaults")
    every: Length = Field(1, description="steps from one turn of this pass to the next")
    offset: Length = Field(0, description="step of its first turn")
    repeat: int = Field(1, ge=1, description="draws, each with its own update, within one step")
    fields: dict[str, str] = Field(default_factory=dict, description="which field plays a role, where several could")
    detach: tuple[str, ...] = Field((), description="fields or field.parameter that this pass only reads")
    time: float | None = Field(None, ge=0, le=1, description="fixed time of every sample")
    draw: Any = Field(None, description="options of the data for drawing a batch")


class Term(Table):
    """A loss with its place in a stage."""

    name: str
    on: tuple[str, ...] = Field(min_length=1, description="passes whose elements it averages over, or a field")
    weight: Annotated[Number, Scheduled()] = Field(1.0, description="factor in the total")
    to: tuple[str, ...] | None = Field(None, description="who receives the gradient; default: all that it reaches")
    start: Length = Field(0, alias="from", description="step of the stage from which it counts")
    until: Length | None = Field(None, description="step of the stage from which it no longer counts")
    loss: Spec


class Event(Table):
    """A callback with its place in a stage."""

    name: str
    at: Literal["start", "end"] | None = Field(None, description="once, at the start or end of the stage")
    start: Length = Field(0, alias="from", description="step of the stage of its first turn")
    every: Length | None = Field(None, description="steps between its turns")
    until: Length | None = Field(None, description="step of the stage from which it has no more turns")
    callback: Spec


class Stage(Table):
    """A span of training with its own passes, losses and optimisers."""

    name: str
    steps: Length = Field(description='length: steps, or "100 epochs"')
    train: dict[str, Adam | SparseAdam | None] = Field(description="what moves, each with its optimiser")
    passes: dict[str, Pass] = Field(description="how data and scene meet")
    losses: tuple[Term, ...] = Field(description="how far apart they are")
    callbacks: tuple[Event, ...] = Field((), description="what happens between steps")
    update: Annotated[Spec, Slot("update", "gradient")]
    time: Literal["random", "cycle"] = Field("random", description="time stamp of a step: drawn, or in turn")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are summed into one update")
    clip: Annotated[Number | None, Scheduled(gt=0)] = Field(None, description="largest norm of the gradient")
    fresh: bool = Field(False, description="forget the optimisers' state of earlier stages")
    cache: bool = Field(False, description="reuse the result of an equal stage of an earlier run")


class Recipe(Table):
    """A resolved recipe. `tree` is the same as plain data, every default written out."""

    format: Literal[1] = 1
    name: str = Field(description="name of the recipe")
    summary: str = Field("", description="one line on what it does")
    seed: int = Field(0, ge=0, description="seed of every random stream")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="number format of the training step (Lightning Fabric's names)"
    )
    frame: FrameTable = FrameTable()
    checkpoint: CheckpointTable = CheckpointTable()
    log: LogTable = LogTable()
    validation: ValidationTable | None = None
    export: ExportTable | None = None
    evaluate: EvaluateTable = EvaluateTable()
    data: dict[str, Annotated[Spec, Slot("dataset|sampler")]] = Field(description="datasets and samplers")
    fields: dict[str, Annotated[Spec, Slot("field")]] = Field(description="what the scene is made of")
    renderers: dict[str, Annotated[Spec, Slot("renderer")]] = Field(description="what predicts observations")
    stages: tuple[Stage, ...] = Field(description="spans of training, in order")


def dump(value: Any) -> Any:
    """Return a resolved recipe, or a part of it, as plain data that resolves to the same again."""
    if isinstance(value, Spec):
        return {"type": value.name, **dump(value.config)}
    if isinstance(value, Term | Event):
        component = value.loss if isinstance(value, Term) else value.callback
        envelope = _dump_model(value)
        envelope.pop("loss", None)
        envelope.pop("callback", None)
        return {"type": component.name, **envelope, **dump(component.config)}
    if isinstance(value, Pass):
        table = _dump_model(value)
        draw = table.pop("draw", None)
        return {**table, **(draw or {})}
    if isinstance(value, BaseModel):
        return _dump_model(value)
    if isinstance(value, dict):
        return {str(k): dump(v) for k, v in value.items() if v is not None}
    if isinstance(value, tuple | list):
        return [dump(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _dump_model(model: BaseModel) -> dict[str, Any]:
    fields = {f.alias or name: getattr(model, name) for name, f in type(model).model_fields.items()}
    table = {key: dump(value) for key, value in fields.items() if value is not None}
    if isinstance(model, Stage):
        table["train"] = {k: dump(v) if v is not None else {} for k, v in model.train.items()}
    return table
