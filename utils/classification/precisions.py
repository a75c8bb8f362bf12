"""Where a network is computed and in which precision: as asked for, else what is known to be faster there."""

import torch

from utils.cli import UsageError

NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def pick_device(name: str) -> str:
    """Choose where to compute.

    Raises
    ------
    UsageError
        If the device asked for is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        raise UsageError(f"--device {name}: this machine, or this build of torch, has none; use --device cpu")
    return name


def pick_dtype(precision: str, device: str, arch: str) -> torch.dtype:
    """Choose the precision; ``auto`` takes a smaller one only where it was measured or is known to be faster.

    Only for the large network: on CUDA fp16, on a CPU with instructions for it bf16. MPS stays at fp32.
    """
    if precision != "auto":
        return next(dtype for dtype, name in NAMES.items() if name == precision)
    if arch == "lite":
        return torch.float32
    if device == "cuda":
        return torch.float16
    return torch.bfloat16 if device == "cpu" and _cpu_has_bf16() else torch.float32


def uses_int8(precision: str, device: str, arch: str) -> bool:
    """Whether to compute in int8: where it is asked for, or ``auto`` finds it installed and quick on this CPU.

    Raises
    ------
    UsageError
        If it is asked for and cannot be.
    """
    from utils.classification.openvino_models import has_fast_int8, is_installed

    fits = device == "cpu" and arch == "resnet34"
    if precision == "int8":
        if not fits:
            raise UsageError("--precision int8 is for a ResNet34 on a CPU (--device cpu)")
        if not is_installed():
            raise UsageError("--precision int8 needs OpenVINO: pip install -r requirements-openvino.txt")
    return fits and (precision == "int8" or (precision == "auto" and is_installed(builder=True) and has_fast_int8()))


def _cpu_has_bf16() -> bool:
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
