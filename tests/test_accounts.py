"""utils/classification/accounts.py: what several processes say of their networks is said once, and adds up."""

from utils.classification.accounts import Account, Accounts, Tally


def test_tallies_of_several_processes_are_one(capsys):
    """Each process tells what has come since it last did."""
    first = Account("weights w on cuda", (Tally("int8", 100, 10, 4, 4),))
    later = Account("weights w on cuda", (Tally("int8", 300, 20, 8, 7, failures=1), Tally("bf16", 5, 5)))
    other = Account("weights w on cpu", (Tally("int8", 100, 0, 2, 2),))
    accounts = Accounts(says_networks=True)
    for account in (first, later.since(first), Account(), other):
        accounts.add(account)
    assert accounts.summary() == [
        "int8: 5.0 % computed again; audited 10 patches, 9 decisions equal; margin widened 1 times",
        "bf16: 100.0 % computed again; audited 0 patches, 0 decisions equal",
    ]
    assert capsys.readouterr().err == "weights w on cuda\nweights w on cpu\n"


def test_tallies_are_added_and_taken_away():
    one, other = Tally("int8", 9, 8, 7, 6, 5, 4), Tally("int8", 1, 2, 3, 4, 5, 0)
    assert one.plus(other) == Tally("int8", 10, 10, 10, 10, 10, 4)
    assert one.plus(other, times=-1) == Tally("int8", 8, 6, 4, 2, 0, 4)
    assert Tally("int8", seen=1, again=1).summary().startswith("int8: 100.0 % computed again")
    assert Tally("int8").summary() == "int8: 0.0 % computed again; audited 0 patches, 0 decisions equal"


def test_a_precision_that_any_process_gave_up_is_said():
    accounts = Accounts()
    accounts.add(Account("", (Tally("int8", 10, 5, 3, 0, failures=3, given_up=1),)))
    accounts.add(Account("", (Tally("int8", 10, 5, 3, 3, failures=1),)))
    [line] = accounts.summary()
    assert line.endswith("given up after 4 failures")


def test_nothing_is_said_where_nothing_was_quick(capsys):
    accounts = Accounts()
    accounts.add(Account("weights w on cpu", ()))
    assert accounts.summary() == [] and capsys.readouterr().err == ""
