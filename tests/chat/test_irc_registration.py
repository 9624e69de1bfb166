"""How a client registers: what it is told, in which order."""

from __future__ import annotations

from chat.ircing import House, command


def test_the_burst() -> None:
    """Modern IRC, "Connection Registration": 001 to 005, LUSERS, MOTD or 422."""
    client = House().irc_client()
    told = client.send("NICK ann", "USER ann 0 * :Ann")
    numbers = [command(line) for line in told]
    assert numbers[:5] == ["001", "002", "003", "004", "005"]
    assert numbers[-1] == "422"
    assert told[0] == ":chat.example.net 001 ann :Welcome to the tcpd Network, ann!~ann@localhost"


def test_both_doors_lead_into_the_same_rooms() -> None:
    house = House()
    ann = house.irc_client("ann", joined="#lobby")
    bob = house.person("bob")
    assert ann.lines() == [":bob!text@localhost JOIN #lobby"]
    ann.send("PRIVMSG #lobby :hello from IRC")
    assert bob.screen()[-1] == "#lobby <ann> hello from IRC"
    bob.type("hello from nc")
    assert ann.lines() == [":bob!text@localhost PRIVMSG #lobby :hello from nc"]
