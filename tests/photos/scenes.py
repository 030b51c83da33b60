"""A ring of cameras around the origin, and writers of it in every format, independent of the readers."""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from neuralfw.geometry import Camera

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def ring(count=6, width=24, height=18, focal=30.0, distance=4.0):
    """Cameras on a spiral that look at a point near the origin."""
    angles = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
    centers = [(distance * np.cos(a), distance * np.sin(a), 0.8 * np.sin(2.0 * a) + 0.5) for a in angles]
    return [Camera.look_at(c, (0.1, -0.05, 0.02), (0, 0, 1), focal=focal, width=width, height=height) for c in centers]


def pictures(cameras, radius=1.0, alpha=True):
    """A ball about the origin, coloured by its normals, seen by cameras: RGBA or, on grey, RGB."""
    found = []
    for camera in cameras:
        origin, rays = camera.rays()
        b = rays @ origin
        root = b * b - origin @ origin + radius**2
        normal = (origin + (-b - np.sqrt(np.maximum(root, 0.0)))[..., None] * rays) / radius
        hit = (root > 0.0)[..., None]
        rgb = np.where(hit, 0.5 + 0.5 * normal, 0.5)
        image = np.concatenate([rgb, hit], axis=2) if alpha else rgb
        found.append((255.0 * np.clip(image, 0.0, 1.0)).round().astype(np.uint8))
    return found


def save(folder: Path, images, form="{:03}.png"):
    """Write images, return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [form.format(i) for i in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / name)
    return names


def _c2w(camera):
    return (np.linalg.inv(camera.world_to_camera) @ OPENGL).tolist()


def write_blender(folder, cameras, images, test=()):
    """NeRF-synthetic: focal length as an angle, principal point in the middle."""
    for name in ("train", "test") if test else ("train",):
        chosen = [i for i in range(len(cameras)) if (i in test) == (name == "test")]
        names = save(folder / name, [images[i] for i in chosen], "r_{}.png")
        frames = [
            {"file_path": f"./{name}/{n[:-4]}", "transform_matrix": _c2w(cameras[i])}
            for n, i in zip(names, chosen, strict=True)
        ]
        angle = 2.0 * np.arctan(0.5 * cameras[0].width / cameras[0].fx)
        (folder / f"transforms_{name}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))


def write_transforms(folder, cameras, images, **more):
    """instant-ngp and nerfstudio; `more` goes to the top of the document."""
    names = save(folder / "images", images)
    c = cameras[0]
    document = {"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height, **more}
    document["frames"] = [
        {"file_path": f"images/{n}", "transform_matrix": _c2w(camera)} for n, camera in zip(names, cameras, strict=True)
    ]
    (folder / "transforms.json").write_text(json.dumps(document))


def write_idr(folder, cameras, images, masks=None, center=(0.2, 0.1, -0.1), radius=2.0):
    """IDR and NeuS: integer pixel centres, an arbitrary factor on the projection."""
    save(folder / "image", images)
    if masks is not None:
        save(folder / "mask", masks)
    arrays = {}
    for i, camera in enumerate(cameras):
        K = camera.matrix - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        world = np.eye(4)
        world[:3] = (-1.0 if i == 1 else 2.5) * K @ camera.world_to_camera[:3]
        scale = np.diag([radius, radius, radius, 1.0])
        scale[:3, 3] = center
        arrays |= {f"world_mat_{i}": world, f"scale_mat_{i}": scale}
    np.savez(folder / "cameras_sphere.npz", **arrays)


def colmap_binary(cameras, names, points, colors, seen, model=1, parameters=None):
    """The three files of COLMAP: {name: bytes}. `seen` lists for each camera pixels and indices of points."""
    c = cameras[0]
    parameters = (c.fx, c.fy, c.cx, c.cy) if parameters is None else parameters
    lens = struct.pack("<QiiQQ", 1, 7, model, c.width, c.height) + struct.pack(f"<{len(parameters)}d", *parameters)
    pictures_ = struct.pack("<Q", len(cameras))
    tracks = [[] for _ in points]
    for i, (camera, name, (pixels, index)) in enumerate(zip(cameras, names, seen, strict=True)):
        x, y, z, w = Rotation.from_matrix(camera.world_to_camera[:3, :3]).as_quat()
        pictures_ += struct.pack("<i7di", i + 1, w, x, y, z, *camera.world_to_camera[:3, 3], 7) + name.encode() + b"\0"
        pictures_ += struct.pack("<Q", len(index))
        for k, (pixel, point) in enumerate(zip(pixels, index, strict=True)):
            pictures_ += struct.pack("<ddq", *pixel, 10 * point + 3 if point >= 0 else -1)
            if point >= 0:
                tracks[point].append((i + 1, k))
    cloud = struct.pack("<Q", len(points))
    for i, (point, color, track) in enumerate(zip(points, colors, tracks, strict=True)):
        cloud += struct.pack("<q3d3BdQ", 10 * i + 3, *point, *color, 0.5, len(track))
        cloud += b"".join(struct.pack("<ii", *pair) for pair in track)
    return {"cameras.bin": lens, "images.bin": pictures_, "points3D.bin": cloud}


def colmap_text(cameras, names, points, colors, seen):
    """The same as text."""
    c = cameras[0]
    lens = f"# Camera list\n7 PINHOLE {c.width} {c.height} {c.fx!r} {c.fy!r} {c.cx!r} {c.cy!r}\n"
    images, tracks = "# Image list\n", [[] for _ in points]
    for i, (camera, name, (pixels, index)) in enumerate(zip(cameras, names, seen, strict=True)):
        x, y, z, w = Rotation.from_matrix(camera.world_to_camera[:3, :3]).as_quat()
        pose = " ".join(repr(float(v)) for v in (w, x, y, z, *camera.world_to_camera[:3, 3]))
        row = [f"{p[0]!r} {p[1]!r} {10 * j + 3 if j >= 0 else -1}" for p, j in zip(pixels.tolist(), index, strict=True)]
        images += f"{i + 1} {pose} 7 {name}\n{' '.join(row)}\n"
        for k, j in enumerate(index):
            if j >= 0:
                tracks[j] += [i + 1, k]
    cloud = "# 3D point list\n"
    for i, (point, color, track) in enumerate(zip(points, colors, tracks, strict=True)):
        numbers = [10 * i + 3, *map(float, point), *map(int, color), 0.5, *track]
        cloud += " ".join(map(repr, numbers)) + "\n"
    return {"cameras.txt": lens.encode(), "images.txt": images.encode(), "points3D.txt": cloud.encode()}


def observations(cameras, points):
    """What each camera sees of points, and one observation without a point."""
    seen = []
    for camera in cameras:
        pixels, depth = camera.project(points)
        index = np.flatnonzero(camera.sees(pixels, depth))
        seen.append((np.concatenate([pixels[index], [[1.5, 2.5]]]), [*index.tolist(), -1]))
    return seen


def cloud(count=60, seed=0):
    """Points in a ball, and colours."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points *= 0.5 / np.linalg.norm(points, axis=1, keepdims=True)
    return points, rng.integers(0, 256, size=(count, 3))


def write_colmap(folder, cameras, images, *, text=False, subfolder="images", **more):
    """COLMAP's layout with a ball of points, which every camera observes."""
    names = save(folder / subfolder, images)
    points, colors = cloud()
    write = colmap_text if text else colmap_binary
    model = folder / "sparse" / "0"
    model.mkdir(parents=True, exist_ok=True)
    for name, data in write(cameras, names, points, colors, observations(cameras, points), **more).items():
        (model / name).write_bytes(data)


def write_middlebury(folder, cameras, images):
    """Middlebury: K, R, t in one line, integer pixel centres."""
    names = save(folder, images, "ball{:04}.png")
    lines = [str(len(names))]
    for name, camera in zip(names, cameras, strict=True):
        K = camera.matrix - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        numbers = [*K.ravel(), *camera.world_to_camera[:3, :3].ravel(), *camera.world_to_camera[:3, 3]]
        lines.append(" ".join([name, *(repr(float(v)) for v in numbers)]))
    (folder / "ball_par.txt").write_text("\n".join(lines) + "\n")


def write_neilf(folder, cameras, images):
    """NeILF's sfm_scene.json; the box has the diagonal 4 and the centre (0.2, 0.1, -0.1)."""
    names = save(folder / "inputs" / "images", images)
    entries = {
        str(i): {
            "flg": 2,
            "size": [c.width, c.height],
            "camera": {
                "intrinsic": {"focal": [c.fx, c.fy], "ppt": [c.cx, c.cy]},
                "extrinsic": c.world_to_camera.ravel().tolist(),
            },
        }
        for i, c in enumerate(cameras)
    }
    entries["99"] = {"flg": 0}
    transform = np.diag([4.0, 3.0, 2.0, 1.0])
    transform[:3, 3] = (0.2, 0.1, -0.1)
    document = {
        "image_path": {"file_paths": {str(i): f"images/{n}" for i, n in enumerate(names)}},
        "bbox": {"transform": transform.ravel().tolist()},
        "camera_track_map": {"images": entries},
    }
    (folder / "inputs" / "sfm_scene.json").write_text(json.dumps(document))


def write_llff(folder, cameras, images):
    """LLFF: axes down, right, backwards; one focal length, principal point in the middle."""
    save(folder / "images", images)
    rows = []
    for camera in cameras:
        right, down, forward = camera.world_to_camera[:3, :3]
        pose = np.stack([down, right, -forward, camera.center, [camera.height, camera.width, camera.fx]], axis=1)
        rows.append(np.concatenate([pose.ravel(), [1.0, 9.0]]))
    np.save(folder / "poses_bounds.npy", np.array(rows))


WRITERS = {
    "blender": write_blender,
    "transforms": write_transforms,
    "idr": write_idr,
    "colmap": write_colmap,
    "middlebury": write_middlebury,
    "neilf": write_neilf,
    "llff": write_llff,
}
