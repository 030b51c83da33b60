"""Geometry as the user has it: frames, point clouds, meshes, normals and distances, in NumPy and without torch."""

from neuralfw.geometry.camera import Camera, nearest_to_axes
from neuralfw.geometry.distance import TriangleTree, contains, point_to_mesh_distance, signed_distance
from neuralfw.geometry.frame import Frame
from neuralfw.geometry.mesh import Mesh, sample_surface
from neuralfw.geometry.mesh_readers import read_mesh
from neuralfw.geometry.normals import Orientation, estimate_normals, orient_normals, with_normals
from neuralfw.geometry.point_cloud import PointCloud, clean, find_outliers
from neuralfw.geometry.readers import POINT_CLOUD_ENDINGS, read_point_cloud, read_shape
from neuralfw.geometry.sdf_samples import SdfSamples, read_sdf_samples, sample_sdf, write_sdf_samples
from neuralfw.geometry.writers import write_mesh, write_points

__all__ = [
    "POINT_CLOUD_ENDINGS",
    "Camera",
    "Frame",
    "Mesh",
    "Orientation",
    "PointCloud",
    "SdfSamples",
    "TriangleTree",
    "clean",
    "contains",
    "estimate_normals",
    "find_outliers",
    "nearest_to_axes",
    "orient_normals",
    "point_to_mesh_distance",
    "read_mesh",
    "read_point_cloud",
    "read_sdf_samples",
    "read_shape",
    "sample_sdf",
    "sample_surface",
    "signed_distance",
    "with_normals",
    "write_mesh",
    "write_points",
    "write_sdf_samples",
]
