"""What a run is told of the networks that scored for it, in however many processes and on whatever machines."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from utils.classification.margins import Tally


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
            print(account.network, file=sys.stderr)
        self._tallies = _summed(self._tallies, account.tallies, 1)

    def summary(self) -> list[str]:
        """A line for every quick precision that was used."""
        return [tally.summary() for tally in self._tallies if tally.seen or tally.failures]


def _summed(first: Iterable[Tally], second: Iterable[Tally], times: int) -> tuple[Tally, ...]:
    total = {tally.name: tally for tally in first}
    for tally in second:
        total[tally.name] = total.get(tally.name, Tally(tally.name)).plus(tally, times)
    return tuple(total.values())
