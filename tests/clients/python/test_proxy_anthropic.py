"""Anthropic's Python SDK finds in the proxy what it finds at Anthropic, whoever answers."""

import json
import urllib.request

import anthropic
import pytest
from pydantic import BaseModel

from support import INSTANCE, PIXEL, PROVIDERS, SCHEMA, SEEN, Faults, connect, drain, echo

TOOLS = [{"name": name, "description": "Weather", "input_schema": SCHEMA} for name in ["get_weather", "get_time"]]
each_way = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Client:
    """Does the same with both clients."""

    def __init__(self, origin, is_async, **options):
        self.origin = origin
        self.is_async = is_async
        self.options = options
        self.heads = []

    def connect(self):
        return connect(anthropic, "Anthropic", self.origin, self.heads, self.is_async, **self.options)

    @property
    def trail(self):
        return self.heads[-1].headers["x-attempts"].split(", ")

    @property
    def provider(self):
        return self.heads[-1].headers["x-provider"]

    def create(self, messages, **fields):
        call = asked(messages, **fields)

        async def start():
            async with self.connect() as client:
                yield await client.messages.create(**call)

        if self.is_async:
            return next(drain(start))
        with self.connect() as client:
            return client.messages.create(**call)

    def stream(self, messages, events, **fields):
        """The final message; what comes before it is added to `events`."""
        call = asked(messages, **fields)

        async def start():
            async with self.connect() as client, client.messages.stream(**call) as stream:
                async for event in stream:
                    events.append(event)
                yield await stream.get_final_message()

        if self.is_async:
            return next(drain(start))
        with self.connect() as client, client.messages.stream(**call) as stream:
            for event in stream:
                events.append(event)
            return stream.get_final_message()

    def both_ways(self, messages, **fields):
        """The answer, whole and streamed."""
        yield self.create(messages, **fields)
        yield self.stream(messages, [], **fields)


def asked(messages, **fields):
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return {"model": "auto", "max_tokens": 1024, "messages": messages, **fields}


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
        assert [block.text for block in answer.content] == [echo(client.provider, "Hi")]
        assert (answer.role, answer.stop_reason, answer.stop_sequence) == ("assistant", "end_turn", None)
        assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
        assert answer._request_id == client.heads[-1].headers["x-request-id"]


@each_way
def test_everybody_answers_streamed(rotation, is_async):
    origin, trails = rotation
    client = Client(origin, is_async)
    for trail in trails:
        events = []
        answer = client.stream("Hi", events)
        assert client.trail == trail
        said = echo(client.provider, "Hi")
        assert [block.text for block in answer.content] == [said]
        assert "".join(event.text for event in events if event.type == "text") == said
        assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


@each_way
def test_tools_are_called_and_their_results_come_back(proxy, is_async):
    client = Client(proxy, is_async)
    for provider, model in pins():
        question = {"role": "user", "content": "get_weather and get_time"}
        for answer in client.both_ways([question], model=model, tools=TOOLS):
            calls = [block for block in answer.content if block.type == "tool_use"]
            assert [(call.name, call.input) for call in calls] == [("get_weather", INSTANCE), ("get_time", INSTANCE)]
            assert answer.stop_reason == "tool_use" and calls[0].id != calls[1].id
            results = [
                {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "noon"}]},
                {"type": "tool_result", "tool_use_id": calls[0].id, "content": "rain"},
            ]
            history = [question, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
            for told in client.both_ways(history, model=model, tools=TOOLS):
                text = told.content[0].text
                assert text.startswith("Tool said: ") and text.index("rain") < text.index("noon"), provider
                # The SDK's own history once more.
                again = [*history, {"role": "assistant", "content": told.content}, {"role": "user", "content": "Hi"}]
                assert client.create(again, model=model, tools=TOOLS).content[0].text == echo(provider, "Hi")


@each_way
def test_a_call_can_be_demanded_and_forbidden(proxy, is_async):
    client = Client(proxy, is_async)
    for _, model in pins():
        for choice, called in [
            ({"type": "any"}, ["get_weather"]),
            ({"type": "tool", "name": "get_time"}, ["get_time"]),
            ({"type": "none"}, []),
            ({"type": "auto", "disable_parallel_tool_use": True}, []),
        ]:
            for answer in client.both_ways("Hi", model=model, tools=TOOLS, tool_choice=choice):
                assert [block.name for block in answer.content if block.type == "tool_use"] == called


def test_the_sdks_own_loop_over_tools_ends_with_the_answer(proxy):
    """It asks for a thread that the server keeps, and goes on without one when it is told that there is none."""

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Weather

        Args:
            city: Where
        """
        return f"rain in {city}"

    with Client(proxy, is_async=False).connect() as client:
        for provider, model in pins():
            runner = client.beta.messages.tool_runner(**asked("get_weather", model=model), tools=[get_weather])
            said = [block.text for block in runner.until_done().content if block.type == "text"]
            assert len(said) == 1 and "rain in text" in said[0], provider


@each_way
def test_images_are_seen_by_who_can_see(proxy, is_async):
    client = Client(proxy, is_async)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    question = [{"role": "user", "content": [image, {"type": "text", "text": "Look"}]}]
    for answer in client.both_ways(question):
        assert SEEN in answer.content[0].text
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}
    history = [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    for answer in client.both_ways(history, tools=TOOLS):
        assert answer.stop_reason == "end_turn"


class Forecast(BaseModel):
    """The weather."""

    city: str
    days: int


def test_answers_are_parsed(proxy):
    with Client(proxy, is_async=False).connect() as client:
        for provider, model in pins():
            answer = client.messages.parse(**asked("Hi", model=model), output_format=Forecast)
            assert isinstance(answer.parsed_output, Forecast), provider


@each_way
def test_thoughts_are_shown_to_who_asks_for_them(start_proxy, is_async):
    client = Client(start_proxy(Faults(**dict.fromkeys(PROVIDERS, "thinking"))), is_async)
    for _, model in pins():
        for answer in client.both_ways("Hi", model=model, thinking={"type": "enabled", "budget_tokens": 1024}):
            assert [block.type for block in answer.content] == ["thinking", "text"]
            assert answer.content[0].thinking == "Let me think."
            history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer.content},
                       {"role": "user", "content": "And?"}]  # fmt: skip
            assert client.create(history, model=model).content[-1].text == "One, two, three."
        for answer in client.both_ways("Hi", model=model):
            assert [block.type for block in answer.content] == ["text"]


def test_tokens_are_counted_and_models_are_listed(proxy):
    with Client(proxy, is_async=False).connect() as client:
        count = client.messages.count_tokens(model="claude-opus-5-5", messages=[{"role": "user", "content": "Hi"}])
        assert 0 < count.input_tokens < 20
        models = list(client.models.list(limit=1000))
        assert "anthropic/auto" in [model.id for model in models]
        for model in models[:3]:
            assert client.models.retrieve(model.id) == model
            assert client.messages.create(**asked("Hi", model=model.id)).content


@each_way
def test_what_comes_late_is_raised_with_what_came_before(start_proxy, is_async):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    client = Client(start_proxy(faults), is_async)

    class Events(list):
        """Lets the answer go on when its beginning is here."""

        def append(self, event):
            super().append(event)
            if event.type == "text" and event.text == "One, ":
                faults.go_on.release()

    for provider in PROVIDERS:
        events = Events()
        with pytest.raises(anthropic.APIStatusError, match=provider):
            client.stream("Hi", events)
        assert client.provider == provider
        assert "".join(event.text for event in events if event.type == "text") == "One, two, "
    assert faults.asked == dict.fromkeys(PROVIDERS, 1), "what has begun is not asked for again"


# What all providers do, the error, how often the SDK asks, and how many calls each provider gets.
ERRORS = [
    ("rate_limited", anthropic.RateLimitError, 429, "rate_limit_error"),
    ("server_error", anthropic.InternalServerError, 502, "api_error"),
    ("bad_key", anthropic.InternalServerError, 502, "api_error"),
    ("bad_request", anthropic.BadRequestError, 400, "invalid_request_error"),
    ("context_too_long", anthropic.BadRequestError, 400, "invalid_request_error"),
]


@pytest.mark.parametrize(("fault", "raised", "status", "kind"), ERRORS, ids=[error[0] for error in ERRORS])
def test_errors_have_their_exceptions_and_cost_few_calls(start_proxy, fault, raised, status, kind):
    models = {"GROQ_MODEL": "openai/gpt-oss-20b", "CEREBRAS_MODEL": "gpt-oss-120b", "GEMINI_MODEL": "gemini-3.8-flash"}
    faults = Faults(**dict.fromkeys(PROVIDERS, fault))
    origin = start_proxy(faults, **models, MAX_WAIT_MS="0")
    client = Client(origin, is_async=False, max_retries=2)
    with pytest.raises(raised) as caught:
        client.create("Hi")
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id == client.heads[-1].headers["x-request-id"]
    # A limit that is over in two seconds is waited for and met again; the rest is final.
    asked_again = fault == "rate_limited"
    assert len(client.heads) == (3 if asked_again else 1)
    assert all(1 <= calls <= (3 if asked_again else 1) for calls in faults.asked.values()), faults.asked
    if fault == "context_too_long":
        assert str(caught.value.body["error"]["message"]).startswith("prompt is too long: ")


def test_a_limited_provider_is_not_noticed(start_proxy):
    client = Client(start_proxy(Faults(Groq="rate_limited")), is_async=False, max_retries=2)
    for answer in client.both_ways("Hi"):
        assert answer.content[0].text
    assert len(client.heads) == 2


def test_a_wrong_key_is_refused_and_not_repeated(start_proxy):
    client = Client(start_proxy(PROXY_API_KEY="another"), is_async=False, max_retries=2)
    with pytest.raises(anthropic.AuthenticationError):
        client.create("Hi")
    assert len(client.heads) == 1
    assert Client(start_proxy(PROXY_API_KEY="a-key"), is_async=False).create("Hi").content


def test_a_base_url_that_ends_in_v1_is_told_so(proxy):
    with pytest.raises(anthropic.NotFoundError, match="leave /v1 out of the base URL"):
        Client(f"{proxy}/v1", is_async=False).create("Hi")


def test_who_leaves_early_is_no_failure(proxy):
    with Client(proxy, is_async=False).connect() as client:
        for _ in PROVIDERS:
            with client.messages.stream(**asked("Hi")) as stream:
                next(iter(stream))
    services = json.load(urllib.request.urlopen(f"{proxy}/health"))["stats"]["services"]
    assert services == {name: {"count": 1, "failures": 0} for name in PROVIDERS}
