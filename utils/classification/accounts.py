"""What a run is told of the networks that scored for it, in however many processes and on whatever machines."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from utils.redaction import say


@dataclass(frozen=True)
class Tally:
    """What became of patches that a quick precision has seen. Those of several processes add up."""

    name: str  # of the precision
    # Patches, and those of them that were computed again.
    seen: int = 0
    again: int = 0
    # Patches of the audit, and those that were decided as the exact computation does.
    audited: int = 0
    equal: int = 0
    # Audits that failed, and processes that use the precision no longer.
    failures: int = 0
    given_up: int = 0

    def plus(self, other: "Tally", times: int = 1) -> "Tally":
        """The sum of two; with ``times=-1`` the difference."""
        mine, theirs = astuple(self)[1:], astuple(other)[1:]
        return Tally(self.name, *(a + times * b for a, b in zip(mine, theirs, strict=True)))

    def summary(self) -> str:
        """One line of what was computed again, and what the audit found."""
        share = 100 * self.again / max(self.seen, 1)
        line = (
            f"{self.name}: {share:.1f} % computed again; audited {self.audited} patches, {self.equal} decisions equal"
        )
        if self.given_up:
            return f"{line}; given up after {self.failures} failures"
        return f"{line}; margin widened {self.failures} times" if self.failures else line


@dataclass(frozen=True)
class Account:
    """Of one dictionary, or of all so far: which network scored it, and how often quick precisions were doubted."""

    network: str = ""
    tallies: tuple[Tally, ...] = ()

    def since(self, before: "Account") -> "Account":
        """What has come to this account after an earlier look."""
        return Account(self.network, _summed(self.tallies, before.tallies, -1))


class Accounts:
    """The accounts of a run's dictionaries, summed up; what networks are at work is said, on stderr, if it is to be."""

    def __init__(self, *, says_networks: bool = False) -> None:
        self._says_networks = says_networks
        self._networks: set[str] = set()
        self._tallies: tuple[Tally, ...] = ()

    def add(self, account: Account) -> None:
        """Add one."""
        if self._says_networks and account.network and account.network not in self._networks:
            self._networks.add(account.network)
            say(account.network)
        self._tallies = _summed(self._tallies, account.tallies, 1)

    def summary(self) -> list[str]:
        """A line for every quick precision that was used."""
        return [tally.summary() for tally in self._tallies if tally.seen or tally.failures]


def _summed(first: Iterable[Tally], second: Iterable[Tally], times: int) -> tuple[Tally, ...]:
    total = {tally.name: tally for tally in first}
    for tally in second:
        total[tally.name] = total.get(tally.name, Tally(tally.name)).plus(tally, times)
    return tuple(total.values())
