"""OpenAI's Python SDK finds its responses in the proxy, whoever answers."""

import json

import openai
import pytest
from pydantic import BaseModel

from support import INSTANCE, PIXEL, PROVIDERS, SCHEMA, SEEN, Faults, connect, drain, echo

TOOLS = [
    {"type": "function", "name": name, "description": "Weather", "parameters": SCHEMA}
    for name in ["get_weather", "get_time"]
]
each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Client:
    """Does the same with both clients."""

    def __init__(self, origin, is_async, **options):
        self.origin = origin
        self.is_async = is_async
        self.options = options
        self.heads = []

    def connect(self):
        return connect(openai, "OpenAI", f"{self.origin}/v1", self.heads, self.is_async, **self.options)

    @property
    def trail(self):
        return self.heads[-1].headers["x-attempts"].split(", ")

    @property
    def provider(self):
        return self.heads[-1].headers["x-provider"]

    def create(self, given, **fields):
        call = {"model": "auto", "input": given, **fields}

        async def start():
            async with self.connect() as client:
                yield await client.responses.create(**call)

        if self.is_async:
            return next(drain(start))
        with self.connect() as client:
            return client.responses.create(**call)

    def stream(self, given, events, **fields):
        """The final response; what comes before it is added to `events`."""
        call = {"model": "auto", "input": given, **fields}

        async def start():
            async with self.connect() as client, client.responses.stream(**call) as stream:
                async for event in stream:
                    events.append(event)
                yield await stream.get_final_response()

        if self.is_async:
            return next(drain(start))
        with self.connect() as client, client.responses.stream(**call) as stream:
            for event in stream:
                events.append(event)
            return stream.get_final_response()

    def both_ways(self, given, **fields):
        """The answer, whole and streamed."""
        yield self.create(given, **fields)
        yield self.stream(given, [], **fields)


def pins():
    """Each provider with the model by which it is pinned."""
    return [(provider, provider.lower()) for provider in PROVIDERS]


@each_way
def test_everybody_answers_whole(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        answer = client.create("Hi")
        assert client.trail == trail
        assert answer.output_text == echo(client.provider, "Hi")
        assert (answer.status, answer.error, answer.object) == ("completed", None, "response")
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


@each_way
def test_everybody_answers_streamed(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        events = []
        answer = client.stream("Hi", events)
        assert client.trail == trail
        said = echo(client.provider, "Hi")
        assert answer.output_text == said
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == said
        assert [event.text for event in events if event.type == "response.output_text.done"] == [said]
        assert [event.sequence_number for event in events] == list(range(len(events)))


@each_way
def test_tools_are_called_and_their_results_come_back(proxy, is_async):
    client = Client(proxy, is_async)
    for provider, model in pins():
        question = {"role": "user", "content": "get_weather and get_time"}
        for answer in client.both_ways([question], model=model, tools=TOOLS):
            calls = [item for item in answer.output if item.type == "function_call"]
            assert [call.name for call in calls] == ["get_weather", "get_time"]
            assert [json.loads(call.arguments) for call in calls] == [INSTANCE, INSTANCE]
            assert calls[0].call_id != calls[1].call_id
            results = [
                {"type": "function_call_output", "call_id": calls[1].call_id, "output": "noon"},
                {"type": "function_call_output", "call_id": calls[0].call_id, "output": "rain"},
            ]
            # The SDK's own history, and the proxy's.
            for fields in [
                {"given": [question, *answer.output, *results]},
                {"given": results, "previous_response_id": answer.id},
            ]:
                for told in client.both_ways(**fields, model=model, tools=TOOLS):
                    text = told.output_text
                    assert text.startswith("Tool said: ") and text.index("rain") < text.index("noon"), provider
                    again = client.create("Hi", model=model, tools=TOOLS, previous_response_id=told.id)
                    assert again.output_text == echo(provider, "Hi")


@each_way
def test_a_tool_may_take_a_text(proxy, is_async):
    client = Client(proxy, is_async)
    tool = {"type": "custom", "name": "run", "description": "Runs code"}
    for _, model in pins():
        for answer in client.both_ways("Hi", model=model, tools=[tool], tool_choice="required"):
            call = answer.output[-1]
            assert (call.type, call.name, call.input) == ("custom_tool_call", "run", "text")
            result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
            told = client.create([*answer.output, result], model=model, tools=[tool])
            assert "done" in told.output_text


@each_way
def test_a_call_can_be_demanded_and_forbidden(proxy, is_async):
    client = Client(proxy, is_async)
    for _, model in pins():
        for choice, called in [
            ("required", ["get_weather"]),
            ({"type": "function", "name": "get_time"}, ["get_time"]),
            ("none", []),
            ("auto", []),
        ]:
            for answer in client.both_ways("Hi", model=model, tools=TOOLS, tool_choice=choice):
                assert [item.name for item in answer.output if item.type == "function_call"] == called


@each_way
def test_images_are_seen_by_who_can_see(proxy, is_async):
    client = Client(proxy, is_async)
    image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}
    question = [{"role": "user", "content": [image, {"type": "input_text", "text": "Look"}]}]
    for answer in client.both_ways(question):
        assert SEEN in answer.output_text
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "call_1", "output": [image]}
    for answer in client.both_ways([{"role": "user", "content": "Look"}, call, result], tools=TOOLS):
        assert answer.status == "completed"


class Forecast(BaseModel):
    """The weather."""

    city: str
    days: int


def test_answers_and_calls_are_parsed(proxy):
    with Client(proxy, is_async=False).connect() as client:
        for provider, model in pins():
            answer = client.responses.parse(model=model, input="Hi", text_format=Forecast)
            assert isinstance(answer.output_parsed, Forecast), provider
            tool = openai.pydantic_function_tool(Forecast, name="get_weather")
            call = {"model": model, "input": "Hi", "tools": [tool], "tool_choice": "required"}
            with client.responses.stream(**call) as stream:
                answer = stream.get_final_response()
            assert isinstance(answer.output[0].parsed_arguments, Forecast), provider


@each_way
def test_thoughts_are_shown_to_who_asks_for_them(start_proxy, is_async):
    client = Client(start_proxy(Faults(**dict.fromkeys(PROVIDERS, "thinking"))), is_async)
    for _, model in pins():
        for answer in client.both_ways("Hi", model=model, reasoning={"effort": "low", "summary": "auto"}):
            assert [item.type for item in answer.output] == ["reasoning", "message"]
            assert answer.output[0].summary[0].text == "Let me think."
            history = [{"role": "user", "content": "Hi"}, *answer.output, {"role": "user", "content": "And?"}]
            assert client.create(history, model=model).output_text == "One, two, three."
        for answer in client.both_ways("Hi", model=model):
            assert [item.type for item in answer.output] == ["message"]


def test_what_is_stored_is_shown_and_forgotten(proxy):
    with Client(proxy, is_async=False).connect() as client:
        answer = client.responses.create(model="auto", input="Hi")
        assert client.responses.retrieve(answer.id) == answer
        items = list(client.responses.input_items.list(answer.id, order="asc"))
        assert [item.type for item in items] == ["message"] and items[0].id
        count = client.responses.input_tokens.count(model="auto", input="Hi", previous_response_id=answer.id)
        assert count.input_tokens > 10
        client.responses.delete(answer.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(answer.id)
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="auto", input="And?", previous_response_id=answer.id)
        assert caught.value.code == "previous_response_not_found"


@each_way
def test_what_comes_late_is_told_with_what_came_before(start_proxy, is_async):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    client = Client(start_proxy(faults), is_async)

    class Events(list):
        """Lets the answer go on when its beginning is here."""

        def append(self, event):
            super().append(event)
            if event.type == "response.output_text.delta" and event.delta == "One, ":
                faults.go_on.release()

    for provider in PROVIDERS:
        events = Events()
        # The helper has no final response then.
        with pytest.raises(RuntimeError):
            client.stream("Hi", events)
        assert client.provider == provider
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "One, two, "
        last = events[-1]
        assert (last.type, last.response.status) == ("response.failed", "failed")
        assert provider in last.response.error.message
    assert faults.asked == dict.fromkeys(PROVIDERS, 1), "what has begun is not asked for again"


# What all providers do, the error, its status, and its code.
ERRORS = [
    ("rate_limited", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("server_error", openai.InternalServerError, 502, None),
    ("bad_key", openai.InternalServerError, 502, None),
    ("bad_request", openai.BadRequestError, 400, "bad_request"),
    ("context_too_long", openai.BadRequestError, 400, "context_length_exceeded"),
]


@pytest.mark.parametrize(("fault", "raised", "status", "code"), ERRORS, ids=[error[0] for error in ERRORS])
def test_errors_have_their_exceptions_and_cost_few_calls(start_proxy, fault, raised, status, code):
    models = {"GROQ_MODEL": "openai/gpt-oss-20b", "CEREBRAS_MODEL": "gpt-oss-120b", "GEMINI_MODEL": "gemini-3.8-flash"}
    faults = Faults(**dict.fromkeys(PROVIDERS, fault))
    client = Client(start_proxy(faults, **models, MAX_WAIT_MS="0"), is_async=False, max_retries=2)
    with pytest.raises(raised) as caught:
        client.create("Hi")
    assert (caught.value.status_code, caught.value.code) == (status, code)
    # A limit that is over in two seconds is waited for and met again; the rest is final.
    asked_again = fault == "rate_limited"
    assert len(client.heads) == (3 if asked_again else 1)
    assert all(1 <= calls <= (3 if asked_again else 1) for calls in faults.asked.values()), faults.asked
