"""Whoever answers, the bytes have one shape, which is the union of what the strict clients insist on."""

import json
from typing import Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field

from support import CALLS, INSTANCE, PROVIDERS, TOOLS, Faults, echo


class Shape(BaseModel):
    """Has these fields and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Function(Shape):
    name: str
    arguments: str


class FunctionPiece(Shape):
    arguments: str


class Google(Shape):
    thought_signature: str


class Extra(Shape):
    google: Google


class Call(Shape):
    id: str = Field(min_length=1)
    type: Literal["function"]
    function: Function
    # Beside calls of Gemini only.
    extra_content: Extra | None = Field(default_factory=lambda: None)


class OpeningCall(Call):
    index: int


class CallPiece(Shape):
    index: int
    function: FunctionPiece


class RoleDelta(Shape):
    role: Literal["assistant"]
    content: Literal[""]


class TextDelta(Shape):
    content: str = Field(min_length=1)


class ThoughtDelta(Shape):
    reasoning_content: str = Field(min_length=1)


class CallDelta(Shape):
    tool_calls: list[OpeningCall | CallPiece] = Field(min_length=1)


class NoDelta(Shape):
    pass


class Choice(Shape):
    index: Literal[0]
    logprobs: None


class PieceChoice(Choice):
    delta: RoleDelta | TextDelta | ThoughtDelta | CallDelta
    finish_reason: None


class EndChoice(Choice):
    delta: NoDelta
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"]


class Details(Shape):
    reasoning_tokens: int


class PromptDetails(Shape):
    cached_tokens: int


class Usage(Shape):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    # Not every provider tells.
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: Details | None = None


class Answer(Shape):
    id: str = Field(pattern="^chatcmpl-.")
    created: int = Field(gt=1_700_000_000)
    model: str
    # One client takes a chunk without it for an error.
    system_fingerprint: str = Field(min_length=1)


class Chunk(Answer):
    object: Literal["chat.completion.chunk"]
    choices: list[PieceChoice | EndChoice] = Field(min_length=1, max_length=1)


class UsageChunk(Answer):
    object: Literal["chat.completion.chunk"]
    choices: list[None] = Field(max_length=0)
    usage: Usage


class Message(Shape):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = Field(default=None, min_length=1)
    tool_calls: list[Call] | None = Field(default=None, min_length=1)


class WholeChoice(Choice):
    message: Message
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"]


class Whole(Answer):
    object: Literal["chat.completion"]
    service_tier: Literal["auto"]
    choices: list[WholeChoice] = Field(min_length=1, max_length=1)
    usage: Usage


def post(origin, content="Hi", **fields):
    tool_fields = {"tools": TOOLS} if fields.pop("offers_tools", False) else {}
    body = {"messages": [{"role": "user", "content": content}], **tool_fields, **fields}
    answer = httpx.post(f"{origin}/v1/chat/completions", json=body, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer


def chunks_in(answer, wants_usage):
    """The chunks of a complete stream, each checked, and what they are as JSON."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, nothing = answer.text.split("\n\n")
    assert nothing == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    *data, done = [event.removeprefix("data: ") for event in events]
    assert done == "[DONE]"
    values = [json.loads(it) for it in data]
    if wants_usage:
        UsageChunk.model_validate(values[-1])
    chunks = [Chunk.model_validate(value) for value in (values[:-1] if wants_usage else values)]
    assert len({(value["id"], value["created"], value["model"]) for value in values}) == 1
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert isinstance(first.delta, RoleDelta)
    assert isinstance(last, EndChoice)
    assert all(isinstance(it, PieceChoice) and not isinstance(it.delta, RoleDelta) for it in middle)
    return values, [it.delta for it in middle], last.finish_reason


def whole_calls(deltas):
    """What the pieces of calls make when they are put together: numbered from 0, each opened once."""
    calls = []
    for piece in [piece for delta in deltas if isinstance(delta, CallDelta) for piece in delta.tool_calls]:
        if isinstance(piece, OpeningCall):
            assert piece.index == len(calls)
            calls.append({"id": piece.id, "name": piece.function.name, "arguments": piece.function.arguments})
        else:
            calls[piece.index]["arguments"] += piece.function.arguments
    return calls


def key_sets(values):
    """Where which keys stand, however often."""

    def keys(value, at):
        match value:
            case dict():
                yield f"{at}: {sorted(value.keys() - OPTIONAL)}"
                for key in value.keys() - OPTIONAL:
                    yield from keys(value[key], f"{at}.{key}")
            case list():
                for item in value:
                    yield from keys(item, at)

    return sorted({line for value in values for line in keys(value, "")})


# What some providers have and others have not: an allowance of theirs, not of ours.
OPTIONAL = {"extra_content", "prompt_tokens_details", "completion_tokens_details"}

CASES = [
    *((None, {"offers_tools": True, **fields}, names) for fields, names in CALLS),
    (None, {"content": "Hi", "reasoning_effort": "low"}, []),
    ("thinking", {"content": "Hi"}, []),
    ("length", {"content": "Hi"}, []),
    ("blocked", {"content": "Hi"}, []),
    (None, {"content": "Hi", "response_format": {"type": "json_object"}}, []),
]
each_case = pytest.mark.parametrize(("fault", "fields", "names"), CASES, ids=str)
FINISH = {"length": "length", "blocked": "content_filter"}


@each_case
@pytest.mark.parametrize("wants_usage", [False, True], ids=["", "with usage"])
def test_streams_have_one_shape(start_proxy, fault, fields, names, wants_usage):
    origin = start_proxy(Faults(**dict.fromkeys(PROVIDERS, fault)))
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    shapes = {}
    for provider in PROVIDERS:
        answer = post(origin, stream=True, **options, **fields)
        assert answer.headers["x-provider"] == provider
        values, deltas, finish = chunks_in(answer, wants_usage)
        calls = whole_calls(deltas)
        assert [call["name"] for call in calls] == names
        assert [json.loads(call["arguments"]) for call in calls] == [INSTANCE] * len(names)
        assert len({call["id"] for call in calls}) == len(names)
        assert finish == ("tool_calls" if names else FINISH.get(fault, "stop"))
        shapes[provider] = key_sets(values)
    assert shapes["Groq"] == shapes["Cerebras"] == shapes["Gemini"]


@each_case
def test_whole_answers_have_one_shape(start_proxy, fault, fields, names):
    origin = start_proxy(Faults(**dict.fromkeys(PROVIDERS, fault)))
    shapes = {}
    for provider in PROVIDERS:
        answer = post(origin, **fields)
        assert answer.headers["x-provider"] == provider
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        [choice] = Whole.model_validate_json(answer.content).choices
        calls = choice.message.tool_calls or []
        assert [call.function.name for call in calls] == names
        assert [json.loads(call.function.arguments) for call in calls] == [INSTANCE] * len(names)
        assert (choice.message.content is None) == bool(names)
        assert choice.finish_reason == ("tool_calls" if names else FINISH.get(fault, "stop"))
        shapes[provider] = key_sets([answer.json()])
    assert shapes["Groq"] == shapes["Cerebras"] == shapes["Gemini"]


@pytest.mark.parametrize("fault", ["late_error_event", "truncated"])
def test_a_stream_that_breaks_off_ends_with_an_error_and_not_with_the_end_mark(start_proxy, fault):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, fault))
    origin = start_proxy(faults)
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    for provider in PROVIDERS:
        text = ""
        with httpx.stream("POST", f"{origin}/v1/chat/completions", json=body, timeout=10) as answer:
            assert answer.headers["x-provider"] == provider
            for line in answer.iter_lines():
                if "One, " in line:
                    faults.go_on.release()
                text += f"{line}\n"
        *chunks, last = [json.loads(event.removeprefix("data: ")) for event in text.strip().split("\n\n")]
        assert [Chunk.model_validate(chunk).choices[0].finish_reason for chunk in chunks] == [None] * len(chunks)
        assert set(last) == {"error"} and set(last["error"]) == {"message", "type", "param", "code"}
        assert provider in last["error"]["message"]


def test_calls_that_a_provider_has_not_named_get_names_of_their_own(start_proxy):
    """Gemini's have no id, unlike those of the others; a client could not tell its results apart."""
    origin = start_proxy()
    seen = set()
    for _ in range(5):
        values, deltas, _ = chunks_in(
            post(origin, "get_time and get_weather", stream=True, model="gemini", tools=TOOLS), wants_usage=False
        )
        seen |= {call["id"] for call in whole_calls(deltas)}
    assert len(seen) == 10


def test_text_comes_in_pieces_as_it_is_said(start_proxy):
    origin = start_proxy()
    for provider in PROVIDERS:
        _, deltas, _ = chunks_in(post(origin, stream=True), wants_usage=False)
        assert all(isinstance(delta, TextDelta) for delta in deltas) and len(deltas) > 5
        assert "".join(delta.content for delta in deltas) == echo(provider, "Hi")
