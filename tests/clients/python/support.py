"""What the tests of all SDKs share."""

import asyncio
import json
import os
from pathlib import Path

URLS = json.loads(os.environ["SIMULATOR_URLS"])
ERRORS = json.loads((Path(__file__).parents[1] / "errors.json").read_text())

# The rows of ERRORS that are brought about for real; the others are asked for in a header.
REAL_MISTAKES = {
    "wrong key": {"key": "an-invalid-key"},
    "unknown model": {"model": "no-such-model"},
    "unknown field": {"extra_body": {"verbosity": "low"}},
}


def echo(provider, question):
    """What a simulated model says to a question."""
    return f"[simulated {provider}] You said: {question}\nThis answer comes word by word, as a real one would."


def fault(name):
    """The fields of a call that brings about an error."""
    return REAL_MISTAKES.get(name, {"simulate": name})


def includes(whole, part):
    """Whether `whole` has everything that `part` has."""
    match part:
        case dict():
            return isinstance(whole, dict) and all(includes(whole.get(key), part[key]) for key in part)
        case list():
            return isinstance(whole, list) and len(whole) == len(part) and all(map(includes, whole, part))
        case _:
            return whole == part


def drain(start):
    """Yields what an asynchronous generator yields; `start` is called inside the loop."""

    async def step(pieces):
        return await anext(pieces, None)

    with asyncio.Runner() as runner:
        pieces = start()
        while (piece := runner.run(step(pieces))) is not None:
            yield piece


# A picture of one pixel, and what the little model says of it.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SEEN = "I see 1 image(s): image/png"

# The schema of a tool's parameters or of an answer, and the smallest thing that fits.
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
INSTANCE = {"city": "text", "days": 3}
