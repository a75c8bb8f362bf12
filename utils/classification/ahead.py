"""Reading ahead: the next file is read on a thread while the current one is worked on."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

Content = TypeVar("Content")


class ReadAhead(Generic[Content]):
    """Reads files in a known order, one ahead of what is asked for.

    Parameters
    ----------
    read : callable
        Takes a path and returns its content.
    paths : sequence of Path
        In the order in which they will most likely be asked for.
    """

    def __init__(self, read: Callable[[Path], Content], paths: Sequence[Path]) -> None:
        self._read = read
        self._next = dict(zip(paths, [*paths[1:], None], strict=False))  # of no paths none
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._coming: tuple[Path, Future[Content]] | None = None

    def take(self, path: Path) -> Content:
        """The content of a file; what reading it raised is raised here."""
        ahead, self._coming = self._coming, None
        future = ahead[1] if ahead and ahead[0] == path else self._pool.submit(self._read, path)
        try:
            return future.result()
        finally:
            following = self._next.get(path)
            if following is not None:
                self._coming = (following, self._pool.submit(self._read, following))
