"""The first functions that a cluster gets of this suite: pickled by value, since nothing of it is known there."""

from typing import Any


def ask_keeper(path: str, order: tuple[Any, ...], items: list[bytes]) -> Any:
    """Load `utils.cluster.keeper` from where it lies, in a process that knows nothing of this suite."""
    import importlib.util
    import sys
    from pathlib import Path

    name = f"em_keeper_{Path(path).stat().st_mtime_ns}_{path}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        sys.modules.setdefault(name, module)  # another thread may have been first
    return sys.modules[name].answer_in_dask(order, items)


def end_run(path: str, run: str) -> int:
    """Tell a run's children on this worker to go; how many were at work."""
    import sys
    from pathlib import Path

    module = sys.modules.get(f"em_keeper_{Path(path).stat().st_mtime_ns}_{path}")
    return 0 if module is None else int(module.keeper.end_run(run))


# Pickled by value: plain pickle finds no such name in the client's own script.
for _function in (ask_keeper, end_run):
    _function.__module__ = "__main__"
