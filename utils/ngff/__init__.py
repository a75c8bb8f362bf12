"""OME-Zarr, N5 and Neuroglancer precomputed at any address, behind one z, y, x view."""
