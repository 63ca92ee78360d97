"""What OpenAI's Python SDK does beyond sending a request: its stream helper, parsed answers, its own tool loop."""

import json
from enum import Enum
from typing import Literal

import httpx
import openai
import pytest
from pydantic import BaseModel, Field

from support import INSTANCE, PROVIDERS, TOOLS, Faults, connect, drain, echo


class Forecast(BaseModel):
    """The weather."""

    city: str
    days: int = Field(ge=3)


class Vehicle(Enum):
    BUS = "bus"
    TRAIN = "train"


FORECAST = Forecast(**INSTANCE)
TOOL = openai.pydantic_function_tool(Forecast, name="get_weather")
each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Client:
    """Does the same with both clients."""

    def __init__(self, origin, is_async):
        self.origin = origin
        self.is_async = is_async
        self.heads = []

    def connect(self):
        return connect(openai, "OpenAI", f"{self.origin}/v1", self.heads, self.is_async)

    @property
    def trail(self):
        return self.heads[-1].headers["x-attempts"].split(", ")

    @property
    def provider(self):
        return self.heads[-1].headers["x-provider"]

    def parse(self, content, **fields):
        call = {"model": "auto", "messages": [{"role": "user", "content": content}], **fields}

        async def start():
            async with self.connect() as client:
                yield await client.chat.completions.parse(**call)

        if self.is_async:
            return next(drain(start))
        with self.connect() as client:
            return client.chat.completions.parse(**call)

    def stream(self, content, events, **fields):
        """The final completion; what comes before it is added to `events`."""
        call = {"model": "auto", "messages": [{"role": "user", "content": content}], **fields}

        async def start():
            async with self.connect() as client, client.chat.completions.stream(**call) as stream:
                async for event in stream:
                    events.append(event)
                yield await stream.get_final_completion()

        if self.is_async:
            # What is raised within is to come out whole.
            return next(drain(start))
        with self.connect() as client, client.chat.completions.stream(**call) as stream:
            events.extend(stream)
            return stream.get_final_completion()


@each_way
def test_the_stream_helper_puts_together_what_was_said(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        events = []
        answer = client.stream("Hi", events, stream_options={"include_usage": True})
        assert client.trail == trail
        said = echo(client.provider, "Hi")
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (said, "stop")
        assert answer.usage.total_tokens > 0
        assert "".join(event.delta for event in events if event.type == "content.delta") == said
        assert [event.content for event in events if event.type == "content.done"] == [said]


@each_way
def test_the_stream_helper_puts_together_calls(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        events = []
        answer = client.stream("get_weather and get_time", events, tools=[TOOL, TOOLS[1]])
        assert client.trail == trail
        first, second = answer.choices[0].message.tool_calls
        assert (first.function.name, second.function.name) == ("get_weather", "get_time")
        assert first.function.parsed_arguments == FORECAST
        assert json.loads(second.function.arguments) == INSTANCE
        assert first.id and second.id and first.id != second.id
        assert answer.choices[0].finish_reason == "tool_calls"
        done = [(event.index, event.name) for event in events if event.type == "tool_calls.function.arguments.done"]
        assert done == [(0, "get_weather"), (1, "get_time")]


@each_way
def test_the_stream_helper_parses_what_was_asked_for(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        answer = client.stream("Hi", [], response_format=Forecast)
        assert client.trail == trail
        assert answer.choices[0].message.parsed == FORECAST


@each_way
def test_answers_and_calls_are_parsed(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for fields in [{"response_format": Forecast}, {"tools": [TOOL], "tool_choice": "required"}]:
        answered = set()
        for _ in trails:
            message = client.parse("Hi", **fields).choices[0].message
            answered.add(client.provider)
            parsed = message.tool_calls[0].function.parsed_arguments if "tools" in fields else message.parsed
            assert parsed == FORECAST
        assert answered == {trail[-1].split(":")[0] for trail in trails}


class Leg(BaseModel):
    """A part of the way."""

    start: Literal["Lima", "Quito"]
    by: Vehicle
    stops: list[str] = Field(max_length=3)


class Trip(BaseModel):
    """Has in its schema what real ones have: definitions, references, alternatives, lists."""

    legs: list[Leg]
    note: str | None
    price: float = Field(ge=1.5, description="In soles")


@each_way
def test_a_schema_with_all_that_real_ones_have_is_kept_to(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    tool = openai.pydantic_function_tool(Trip)
    for fields in [{"response_format": Trip}, {"tools": [tool], "tool_choice": "required"}]:
        for _ in trails:
            for answer in [client.parse("Hi", **fields), client.stream("Hi", [], **fields)]:
                message = answer.choices[0].message
                trip = message.tool_calls[0].function.parsed_arguments if "tools" in fields else message.parsed
                assert isinstance(trip, Trip)
                assert (trip.legs[0].start, trip.legs[0].by) == ("Lima", Vehicle.BUS)
    answered = {head.headers["x-provider"] for head in client.heads}
    assert answered == {trail[-1].split(":")[0] for trail in trails}


@each_way
def test_an_answer_beside_which_tools_are_offered_is_parsed_by_who_can_do_both(proxy, is_async):
    client = Client(proxy, is_async)
    for provider in ["Cerebras", "Gemini", "Cerebras"]:
        answer = client.parse("Hi", response_format=Forecast, tools=[TOOL])
        assert client.trail[-1] == f"{provider}:ok"
        assert answer.choices[0].message.parsed == FORECAST


@each_way
@pytest.mark.parametrize("call", ["parse", "stream"])
@pytest.mark.parametrize(
    ("fault", "raised"),
    [("length", openai.LengthFinishReasonError), ("blocked", openai.ContentFilterFinishReasonError)],
)
def test_what_is_cut_off_is_not_taken_for_an_answer(start_proxy, is_async, call, fault, raised):
    client = Client(start_proxy(Faults(**dict.fromkeys(PROVIDERS, fault))), is_async)
    for provider in PROVIDERS:
        with pytest.raises(raised):
            if call == "parse":
                client.parse("Hi", tools=[TOOL])
            else:
                client.stream("Hi", [], tools=[TOOL])
        assert client.provider == provider


@each_way
def test_the_stream_helper_raises_what_comes_late(start_proxy, is_async):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    client = Client(start_proxy(faults), is_async)

    class Events(list):
        """Lets the answer go on when its beginning is here."""

        def append(self, event):
            super().append(event)
            if event.type == "content.delta" and event.delta == "One, ":
                faults.go_on.release()

        def extend(self, events):
            for event in events:
                self.append(event)

    for provider in PROVIDERS:
        events = Events()
        with pytest.raises(openai.APIError, match=provider) as caught:
            client.stream("Hi", events)
        assert client.provider == provider
        assert "".join(event.delta for event in events if event.type == "content.delta") == "One, two, "
        assert (caught.value.type, caught.value.code) == ("server_error", "upstream_error")


@each_way
def test_the_other_prefix_answers_the_same(proxy, is_async):
    client = Client(f"{proxy}/openai", is_async)
    assert client.parse("Hi").choices[0].message.content == echo("Groq", "Hi")


def test_who_leaves_early_is_no_failure(proxy):
    client = Client(proxy, is_async=False)
    with client.connect() as sdk:
        for _ in PROVIDERS:
            with sdk.chat.completions.stream(model="auto", messages=[{"role": "user", "content": "Hi"}]) as stream:
                next(iter(stream))
    assert [head.headers["x-provider"] for head in client.heads] == PROVIDERS
    services = httpx.get(f"{proxy}/health").json()["stats"]["services"]
    assert services == {name: {"count": 1, "failures": 0} for name in PROVIDERS}
