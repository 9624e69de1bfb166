"""Two commands: one replies at once, and one later."""

import secrets

from twisted.internet.task import deferLater

from tcpd.api import CommandError, Request, WrongArguments, command


@command("ROLL", "[sides]", help="Rolls a die, of six sides unless you say.", at_most=1)
def roll(request: Request) -> str:
    """Text is a 250 reply; 501 for no number, and another error for a strange die."""
    [sides] = request.words or ["6"]
    if not sides.isdecimal():
        raise WrongArguments(f"{sides} is not a number of sides")
    if not 2 <= int(sides[:9]) <= 100:
        raise CommandError(553, f"no die has {sides} sides")
    return str(1 + secrets.randbelow(int(sides)))


@command("NAP", "seconds", help="Does nothing for the given seconds.", at_least=1, at_most=1)
async def nap(request: Request) -> str:
    """A coroutine may await Deferreds; meanwhile the client's next requests wait."""
    try:
        seconds = float(request.argument)
    except ValueError:
        raise WrongArguments from None
    if not 0 <= seconds <= 60:
        raise WrongArguments("from 0 to 60 seconds")
    await deferLater(request.context.clock, seconds)
    return f"slept for {seconds:g} s"
