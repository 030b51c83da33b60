"""Posed photographs as data: what batches hold, in which layout, in which space."""

import json

import numpy as np
import pytest
import torch
from photos import scenes
from PIL import Image
from torch.testing import assert_close

from neuralfw.components import Draw
from neuralfw.errors import UserError
from neuralfw.geometry import Frame, write_points
from neuralfw.recipe.model import FrameTable, Recipe
from neuralfw.recipe.source import Source
from neuralfw.recipe.tables import Tables
from neuralfw.registry import discover
from neuralfw.scene import Scene
from neuralfw.streams import stream

CAMERAS = scenes.ring(6, 40, 32, 50.0)
IMAGES = scenes.pictures(CAMERAS)


def open_data(path, type="images", frame=None, **options):
    registry = discover()
    tables = Tables(Source.of({"data": {"type": type, "path": str(path), **options}}, "test"), registry)
    spec = tables.component("dataset", tables.source.tree["data"], ("data",))
    assert not tables.faults, tables.faults
    table = FrameTable(**(frame or {"fit": "none"}))
    recipe = Recipe(name="test", frame=table, data={}, fields={}, renderers={}, stages=())
    return Scene(recipe, registry, torch.device("cpu")).make(spec)


def draw(data, index=0, set="", time=None, **options):
    request = Draw(
        set=set,
        options=data._config.Draw(**options),
        index=index,
        stream=lambda count: stream(0, "pass", step=count),
        scene=None,
        time=time,
    )
    return data.sample(request)


@pytest.fixture(scope="module")
def blender(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blender")
    scenes.write_blender(folder, CAMERAS, IMAGES, test=(1, 4))
    return folder


@pytest.fixture(scope="module")
def colmap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colmap")
    scenes.write_colmap(folder, CAMERAS, [image[..., :3] for image in IMAGES])
    return folder


def test_a_whole_photograph(blender):
    data = open_data(blender, background=[0.2, 0.4, 0.6])
    batch = draw(data, 3)
    view = int(batch["view"][0])
    truth = IMAGES[(0, 2, 3, 5, 1, 4)[view]] / 255.0
    expected = truth[..., :3] * truth[..., 3:] + (1.0 - truth[..., 3:]) * np.array([0.2, 0.4, 0.6])
    assert_close(batch["rgb"][0].numpy(), expected.astype(np.float32))
    assert_close(batch["mask"][0].numpy(), truth[..., 3].astype(np.float32))
    assert_close(batch["background"], torch.tensor([[0.2, 0.4, 0.6]]))
    assert batch["size"].tolist() == [32, 40] and batch["intrinsics"].tolist() == [[50.0, 50.0, 20.0, 16.0]]
    assert {*batch} == {*data._config.sets()["train"]} and batch["world_to_camera"].shape == (1, 4, 4)
    assert_close(data.image(view), batch["rgb"][0])
    assert_close(data.view_batch(view)["rgb"], batch["rgb"])


def test_an_epoch_shows_every_photograph_once(blender):
    data = open_data(blender)
    assert data.batches("", data._config.Draw()) == 4 and data.batches("", data._config.Draw(views=3)) == 2
    for epoch in (0, 1):
        shown = [int(draw(data, 4 * epoch + i)["view"][0]) for i in range(4)]
        assert sorted(shown) == [0, 1, 2, 3]
    assert data.members("test") == [4, 5] and data.holds("test") and not data.holds("val")
    with pytest.raises(UserError, match='has no set "val"; it has train, test'):
        data.members("val")


def test_single_pixels_are_those_of_the_photograph(blender):
    data = open_data(blender, background="white")
    rays = draw(data, 0, views=2, rays=301)
    assert rays["rgb"].shape == (301, 3) and rays["view"].unique().numel() == 2 and "size" not in rays
    for i in range(0, 301, 50):
        whole = data.view_batch(int(rays["view"][i]))
        x, y = (rays["pixels"][i] - 0.5).long().tolist()
        assert_close(rays["rgb"][i], whole["rgb"][0, y, x])
        assert_close(rays["mask"][i], whole["mask"][0, y, x])
        assert_close(rays["world_to_camera"][i], whole["world_to_camera"][0])
    assert rays["pixels"][:, 0].max() <= 39.5 and rays["pixels"][:, 1].max() <= 31.5


def test_a_patch_keeps_its_rays(blender):
    data = open_data(blender)
    patch = draw(data, 1, patch=8)
    whole = data.view_batch(int(patch["view"][0]))
    shift = (whole["intrinsics"] - patch["intrinsics"])[0].long().tolist()
    assert shift[:2] == [0, 0] and patch["size"].tolist() == [8, 8]
    x, y = shift[2:]
    assert_close(patch["rgb"], whole["rgb"][:, y : y + 8, x : x + 8])
    with pytest.raises(UserError, match="patch = 33 is larger than the photographs, which have 40 x 32"):
        draw(data, patch=33)


def test_random_backgrounds_differ_and_are_reproduced(blender):
    data = open_data(blender, background="random")
    first, second = draw(data, 0), draw(data, 1)
    assert not torch.equal(first["background"], second["background"])
    assert_close(draw(data, 0)["rgb"], first["rgb"])
    empty = first["mask"][0] == 0.0
    assert_close(first["rgb"][0][empty], first["background"].expand(int(empty.sum()), 3))
    assert_close(data.view_batch(0)["background"], torch.zeros(1, 3))


def test_masks_that_are_ignored(blender):
    data = open_data(blender, masks="ignore")
    assert "mask" not in draw(data) and "mask" not in data._config.sets()["train"]
    assert data.photographs.silhouettes([0])[0].shape == (32, 40)


def test_cameras_alone_read_no_photograph(blender):
    data = open_data(blender, frame={"fit": "cameras"}, init_points="random")
    batch = draw(data, 2, set="cameras")
    assert {*batch} == {"view", "world_to_camera", "intrinsics", "size", "background"}
    assert "_pixels" not in data.photographs.__dict__


def test_scale_and_crop(blender):
    data = open_data(blender, scale=0.5, crop=[2, 3, 10, 8])
    batch = data.view_batch(0)
    assert batch["rgb"].shape == (1, 8, 10, 3) and batch["intrinsics"].tolist() == [[25.0, 25.0, 8.0, 5.0]]
    whole = open_data(blender).view_batch(0)["rgb"][0]
    reduced = whole.reshape(16, 2, 20, 2, 3).mean(dim=(1, 3))[3:11, 2:12]
    assert (batch["rgb"][0] - reduced).abs().max() < 0.02
    assert open_data(blender, max_size=20).view_batch(0)["rgb"].shape == (1, 16, 20, 3)
    with pytest.raises(UserError, match=r"crop = \[35, 0, 10, 8\] leaves the photographs, which have 40 x 32"):
        open_data(blender, crop=[35, 0, 10, 8])


@pytest.mark.parametrize("fit", ["none", "cameras", "sphere", "box"])
def test_every_frame_leaves_the_rays_where_they_were(blender, fit):
    data = open_data(blender, frame={"fit": fit, "size": 1.7})
    for index, truth in ((0, CAMERAS[0]), (4, CAMERAS[1])):
        back = data.cameras[index].to_world(data.frame)
        assert np.allclose(back.world_to_camera, truth.world_to_camera, atol=1e-9)
        pose = draw(data, set="all", views=6)["world_to_camera"][index].numpy()
        assert np.allclose(pose, data.cameras[index].world_to_camera, atol=1e-5)
    if fit == "cameras":
        assert np.isclose(max(np.linalg.norm(c.center) for c in data.cameras), 1.7)
    centers = np.stack([c.center for c in data.cameras])
    assert np.isclose(data.extent, 1.1 * np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())


def test_points_to_start_from_by_the_hull(blender):
    data = open_data(blender, init_count=400, frame={"fit": "sphere"})
    world = data.frame.to_world(data.points.double().numpy())
    radius = np.linalg.norm(world, axis=1)
    assert data.points.shape == (400, 3) and radius.min() > 0.6 and "visual hull" in data.notes[1]
    assert torch.equal(open_data(blender, init_count=400, frame={"fit": "sphere"}).points, data.points)
    assert data.points.norm(dim=1).max() < 1.2 and (data.bounds[0] < data.bounds[1]).all()
    assert data.point_colors.min() >= 0.0 and data.point_colors.max() <= 1.0
    more = data.hull(30, torch.Generator().manual_seed(1))
    assert more.shape == (30, 3) and not torch.equal(more, data.hull(30, torch.Generator().manual_seed(2)))


def test_sparse_points_and_those_withheld(colmap):
    data = open_data(colmap, "colmap", withhold=5, withhold_track=4, frame={"fit": "box"})
    points, colors = scenes.cloud()
    assert len(data.withheld) == 12 and len(data.points) == 48
    both = torch.cat([data.withheld, data.points]).double().numpy()
    assert np.allclose(np.sort(data.frame.to_world(both), axis=0), np.sort(points, axis=0), atol=1e-6)
    kept = np.ones(60, dtype=bool)
    kept[::5] = False
    assert np.allclose(data.point_colors.numpy(), colors[kept] / 255.0, atol=1e-6)
    assert data.members("test") == [0] and data.members("train") == [1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="no sparse point is seen in 9 photographs"):
        open_data(colmap, "colmap", withhold=5, withhold_track=9)


def test_a_cloud_of_ones_own(colmap, tmp_path):
    file = tmp_path / "mine.ply"
    write_points(file, np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [np.nan, 0, 0]]))
    data = open_data(colmap, init_file=str(file))
    assert data.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]] and (data.point_colors == 0.5).all()
    write_points(file, np.full((3, 3), np.nan))
    with pytest.raises(UserError, match="no point with finite coordinates"):
        open_data(colmap, init_file=str(file))
    with pytest.raises(UserError, match=r'init_points = "hull": .* has none. There are: sparse, random'):
        open_data(colmap, init_points="hull")


def test_the_file_s_own_frame(tmp_path):
    scenes.write_idr(tmp_path, CAMERAS, IMAGES)
    data = open_data(tmp_path, "idr", frame={"fit": "file"}, init_points="random")
    assert data.frame == Frame(center=np.array([0.2, 0.1, -0.1]), scale=0.5)
    scenes.write_blender(tmp_path / "other", CAMERAS, IMAGES)
    with pytest.raises(UserError, match='fit = "file" needs path'):
        open_data(tmp_path / "other", frame={"fit": "file"})


def test_masks_in_files_are_composited(tmp_path):
    masks = [image[..., 3] // 2 for image in IMAGES]
    scenes.write_idr(tmp_path, CAMERAS, [image[..., :3] for image in IMAGES], masks)
    batch = open_data(tmp_path, background="white").view_batch(2)
    mask = masks[2][..., None] / 255.0
    expected = IMAGES[2][..., :3] / 255.0 * mask + 1.0 - mask
    assert np.abs(batch["rgb"][0].numpy() - expected).max() < 1e-6
    assert np.allclose(batch["mask"][0].numpy(), mask[..., 0])


def test_distortion_leaves_unseen_pixels_out(tmp_path):
    scenes.write_transforms(tmp_path, CAMERAS, [image[..., :3] for image in IMAGES], k1=0.4)
    data = open_data(tmp_path)
    batch = draw(data)
    assert batch["valid"].dtype == torch.bool and not batch["valid"][0, 0, 0] and batch["valid"][0, 16, 20]
    assert draw(data, rays=64)["valid"].shape == (64,)
    assert "valid" in data._config.sets()["train"]


def test_depth_along_the_axis(tmp_path):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    depth = np.full((32, 40), 2500, np.uint16)
    depth[:4] = 0
    Image.fromarray(depth).save(tmp_path / "depth.png")
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    for frame in document["frames"]:
        frame["depth_file_path"] = "depth.png"
    file.write_text(json.dumps(document))
    data = open_data(tmp_path, frame={"fit": "cameras"})
    batch = data.view_batch(1)
    assert_close(batch["depth"][0, 4:], torch.full((28, 40), 2.5 * data.frame.scale))
    assert (batch["depth"][0, :4] == 0.0).all() and "depth" in data._config.sets()["train"]


def test_photographs_of_several_sizes(tmp_path):
    cameras = [camera if i % 2 else camera.resized(20, 16) for i, camera in enumerate(CAMERAS)]
    scenes.write_transforms(tmp_path, cameras, scenes.pictures(cameras))
    data = open_data(tmp_path, holdout=0)
    assert draw(data)["rgb"].ndim == 4 and "2 sizes" in data.notes[0]
    assert draw(data, views=4, rays=50)["rgb"].shape == (50, 3)
    with pytest.raises(
        UserError, match=r"needs photographs of one size, but there are 20 x 16, 40 x 32: say views = 1"
    ):
        draw(data, views=6)


def test_a_step_s_time_chooses_the_photographs(tmp_path):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    for i, frame in enumerate(document["frames"]):
        frame["time"] = 0.5 * (i % 3)
    file.write_text(json.dumps(document))
    data = open_data(tmp_path, holdout=0)
    assert data.times == (0.0, 0.5, 1.0)
    batch = draw(data, time=0.5, views=2)
    assert sorted(batch["view"].tolist()) == [1, 4] and batch["time"].tolist() == [0.5, 0.5]


def test_nothing_left_to_train_on(colmap):
    with pytest.raises(UserError, match="holdout = 1 leaves no photograph of 6"):
        open_data(colmap, holdout=1)


def test_a_truncated_photograph_is_named(tmp_path):
    scenes.write_transforms(tmp_path, CAMERAS, IMAGES)
    path = tmp_path / "images" / "002.png"
    path.write_bytes(path.read_bytes()[:-60])
    data = open_data(tmp_path, masks="ignore")
    with pytest.raises(UserError, match=r"002\.png cannot be read as an image"):
        draw(data)


def test_the_options_of_a_draw_exclude_each_other(blender):
    with pytest.raises(ValueError, match="rays and patch exclude each other"):
        open_data(blender)._config.Draw(rays=4, patch=4)
