"""What `utils.formats.itk` runs in a process of its own: prints a file's header as JSON, or its voxels."""

import contextlib
import json
import re
import sys
from types import ModuleType


def answer(path: str, what: str) -> bytes:
    """The header of a file as JSON, or its voxels as they lie in memory."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    if what == "voxels":
        from SimpleITK.SimpleITK import _GetMemoryViewFromImage  # what GetArrayViewFromImage gives to NumPy

        image = reader.Execute()  # its voxels go when it does
        return bytes(_GetMemoryViewFromImage(image))
    reader.ReadImageInformation()
    header = {
        "size": reader.GetSize(),
        "spacing": reader.GetSpacing(),
        "dtype": _dtype(sitk, reader.GetPixelID()),
        "channels": reader.GetNumberOfComponents(),
    }
    return json.dumps(header).encode() + b"\n"


def _dtype(sitk: ModuleType, pixel_id: int) -> str:
    """The dtype of voxels, or of a vector's components, so that colours have one before they are decoded."""
    name = sitk.GetPixelIDValueAsString(pixel_id)
    for scalar, dtype in (
        (sitk.sitkUInt8, "u1"), (sitk.sitkInt8, "i1"), (sitk.sitkUInt16, "u2"), (sitk.sitkInt16, "i2"),
        (sitk.sitkUInt32, "u4"), (sitk.sitkInt32, "i4"), (sitk.sitkUInt64, "u8"), (sitk.sitkInt64, "i8"),
        (sitk.sitkFloat32, "f4"), (sitk.sitkFloat64, "f8"),
    ):  # fmt: skip
        if name.removeprefix("vector of ") == sitk.GetPixelIDValueAsString(scalar):
            return dtype
    raise ValueError(f"holds voxels of type {name}: only integers and real numbers are images")


def _bound(limit: int) -> None:
    """Take no more memory than decoding may, and end when the parent does (on systems that can say so)."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        most = limit + (4 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


def main() -> int:
    """Answer one question about one file."""
    path, what, limit = sys.argv[1:]
    _bound(int(limit))
    sys.modules["numpy"] = None  # type: ignore[assignment]  # SimpleITK does without; its import takes longer than its own
    try:
        sys.stdout.buffer.write(answer(path, what))
    except (RuntimeError, ValueError, MemoryError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # What ITK itself writes to stderr means nothing to a user: the parent drops it.
        complaint = lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__
        print(re.sub(r"\(0x[0-9a-f]+\)", "", complaint))  # where in memory: other words every night
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
