"""The SDKs of OpenAI, Groq and Cerebras find in the proxy what they find at their own providers, whoever answers."""

import json
from dataclasses import dataclass, field
from types import ModuleType

import cerebras.cloud.sdk
import groq
import openai
import pytest

from support import (
    ALLOWED,
    CALLS,
    INSTANCE,
    PIXEL,
    PROVIDERS,
    SCHEMA,
    SEEN,
    TOOLS,
    Faults,
    connect,
    drain,
    echo,
    includes,
)


@dataclass(frozen=True)
class Vendor:
    name: str
    sdk: ModuleType
    # What its users write behind the address.
    path: str

    def error_for(self, status):
        names = {
            400: "BadRequestError",
            401: "AuthenticationError",
            403: "PermissionDeniedError",
            404: "NotFoundError",
            429: "RateLimitError",
        }
        return getattr(self.sdk, "InternalServerError" if status >= 500 else names.get(status, "APIStatusError"))

    def error_in(self, error):
        """Groq's SDK leaves it in its wrapping."""
        return error.body["error"] if self.sdk is groq else error.body


VENDORS = [
    Vendor("OpenAI", openai, "/v1"),
    Vendor("Groq", groq, ""),
    Vendor("Cerebras", cerebras.cloud.sdk, ""),
]
each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
MODES = ["whole", "streamed", "async whole", "async streamed"]
each_mode = pytest.mark.parametrize("mode", MODES)
# Where it makes no difference to us, and a great one to the clock.
two_modes = pytest.mark.parametrize("mode", ["streamed", "async whole"])


@dataclass
class Caller:
    """A client, and the heads of all answers that it has received, its own retries included."""

    vendor: Vendor
    mode: str
    origin: str
    options: dict = field(default_factory=dict)
    heads: list = field(default_factory=list)

    @property
    def is_stream(self):
        return "streamed" in self.mode

    def client(self, is_async=False):
        return connect(
            self.vendor.sdk, self.vendor.name, self.origin + self.vendor.path, self.heads, is_async, **self.options
        )

    def parts(self, content="Hi", messages=None, **fields):
        """What a call yields: a whole answer or its chunks."""
        messages = messages or [{"role": "user", "content": content}]
        call = {"model": "auto", "messages": messages, "stream": self.is_stream, **fields}

        async def start():
            async with self.client(is_async=True) as client:
                answer = await client.chat.completions.create(**call)
                if not self.is_stream:
                    yield answer
                else:
                    async for chunk in answer:
                        yield chunk

        if "async" in self.mode:
            yield from drain(start)
        else:
            with self.client() as client:
                answer = client.chat.completions.create(**call)
                yield from answer if self.is_stream else [answer]

    def __call__(self, *args, **fields):
        return list(self.parts(*args, **fields))

    @property
    def trail(self):
        """How the last answer came about."""
        return self.heads[-1].headers["x-attempts"].split(", ")

    @property
    def provider(self):
        return self.heads[-1].headers["x-provider"]


def said(received):
    return [getattr(part.choices[0], "delta", None) or part.choices[0].message for part in received if part.choices]


def text(received):
    return "".join(piece.content or "" for piece in said(received))


def finish_reason(received):
    """There is one, and it stands at the end of the text."""
    reasons = [part.choices[0].finish_reason for part in received if part.choices]
    assert set(reasons[:-1]) <= {None}
    return reasons[-1]


@each_vendor
@each_mode
def test_an_answer_is_complete_whoever_gives_it(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    for turn, trail in enumerate(trails):
        wants_usage = {"stream_options": {"include_usage": True}} if ask.is_stream else {}
        received = ask(f"Hi {turn}", extra_body=wants_usage)
        assert ask.trail == trail
        assert text(received) == echo(ask.provider, f"Hi {turn}")
        assert said(received)[0].role == "assistant"
        assert finish_reason(received) == "stop"
        assert {part.model for part in received} == {f"{ask.provider.lower()}/{ask.heads[-1].headers['x-model']}"}
        assert {part.id for part in received} == {f"chatcmpl-{ask.heads[-1].headers['x-request-id']}"}
        *earlier, last = received
        assert len(earlier) > 3 if ask.is_stream else not earlier
        assert all(part.usage is None for part in earlier)
        assert last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0
        assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens


@each_vendor
@each_mode
@pytest.mark.parametrize(
    ("model", "trails", "answered_by"),
    [
        ("auto", ["Groq:ok", "Cerebras:ok"], "groq/openai/gpt-oss-20b"),
        ("gemini", ["Gemini:ok", "Gemini:ok"], "gemini/gemini-3.5-flash-lite"),
        ("Cerebras/qwen-3.8-27b", ["Cerebras:ok", "Cerebras:ok"], "cerebras/qwen-3.8-27b"),
        ("groq/openai/gpt-oss-120b", ["Groq:ok", "Groq:ok"], "groq/openai/gpt-oss-120b"),
        ("openai/gpt-oss-120b", ["Groq:ok", "Groq:ok"], "groq/openai/gpt-oss-120b"),
    ],
)
def test_the_model_says_who_answers(vendor, mode, proxy, model, trails, answered_by):
    ask = Caller(vendor, mode, proxy)
    answers = [(ask(model=model), *ask.trail) for _ in trails]
    assert [trail for _, trail in answers] == trails
    assert answers[0][0][0].model == answered_by


@each_vendor
@each_mode
@pytest.mark.parametrize(
    ("fault", "finish", "answer"),
    [
        ("thinking", "stop", "One, two, three."),
        ("length", "length", "One, two, three."),
        ("blocked", "content_filter", ""),
    ],
)
def test_thoughts_and_ends_are_the_same_of_everyone(vendor, mode, start_proxy, fault, finish, answer):
    if (vendor.name, fault) == ("Groq", "blocked") and "streamed" not in mode:
        pytest.skip("Groq's types know content_filter in streams only")
    ask = Caller(vendor, mode, start_proxy(Faults(**dict.fromkeys(PROVIDERS, fault))))
    for provider in PROVIDERS:
        received = ask()
        assert ask.trail == [f"{provider}:ok"]
        assert text(received) == answer
        assert finish_reason(received) == finish
        thoughts = "".join(getattr(piece, "reasoning_content", None) or "" for piece in said(received))
        assert thoughts == ("Let me think." if fault == "thinking" else "")


def calls(received):
    return [call for piece in said(received) for call in piece.tool_calls or []]


@each_vendor
@each_mode
def test_tools_are_called_whoever_answers(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    # OpenAI's newest choice is in no other SDK's types, and they pass it on all the same.
    for fields, names in [*CALLS, ({"content": "Hi", "tool_choice": ALLOWED}, ["get_time"])]:
        answered = set()
        for _ in trails:
            received = ask(tools=TOOLS, **fields)
            answered.add(ask.provider)
            assert [call.function.name for call in calls(received)] == names
            assert [json.loads(call.function.arguments) for call in calls(received)] == [INSTANCE] * len(names)
            assert {call.type for call in calls(received)} <= {"function"}
            ids = [call.id for call in calls(received)]
            assert all(ids) and len(set(ids)) == len(names)
            assert finish_reason(received) == ("tool_calls" if names else "stop")
            assert text(received) == ("" if names else echo(ask.provider, fields["content"]))
            if ask.is_stream:
                assert [call.index for call in calls(received)] == list(range(len(names)))
        assert answered == {trail[-1].split(":")[0] for trail in trails}


QUESTION = {"role": "user", "content": "get_time and get_weather"}
RESULTS = ["noon", "21 degrees"]
# Google has them as objects, in the order of the calls.
TOLD = {
    "Groq": "Tool said: noon | 21 degrees",
    "Cerebras": "Tool said: noon | 21 degrees",
    "Gemini": 'Tool said: {"result":"21 degrees"} | {"result":"noon"}',
}


def with_results(received, keep_unknown):
    """The conversation so far; most clients send back only what they know of a call."""
    turn = [call.model_dump(exclude_unset=True, exclude={"index"}) for call in calls(received)]
    if not keep_unknown:
        turn = [{key: call[key] for key in ("id", "type", "function")} for call in turn]
    message = {"role": "assistant", "content": None, "tool_calls": turn}
    # Tools need not be ready in the order in which they were called.
    results = zip(reversed(turn), RESULTS, strict=True)
    return [QUESTION, message, *({"role": "tool", "tool_call_id": call["id"], "content": it} for call, it in results)]


@each_vendor
@each_mode
def test_everyone_answers_the_results_of_calls_that_anyone_made(vendor, mode, start_proxy):
    ask, elsewhere = (Caller(vendor, mode, start_proxy()) for _ in range(2))
    for caller in PROVIDERS:
        received = ask(messages=[QUESTION], tools=TOOLS, model=caller.lower())
        assert (ask.provider, len(calls(received))) == (caller, 2)
        for who, provider, keep_unknown in [
            *((ask, provider, keep) for provider in PROVIDERS for keep in (True, False)),
            # This one has not seen the call.
            *((elsewhere, provider, False) for provider in PROVIDERS),
        ]:
            answer = who(messages=with_results(received, keep_unknown), tools=TOOLS, model=provider.lower())
            assert who.trail == [f"{provider}:ok"]
            assert text(answer) == TOLD[provider]
            assert finish_reason(answer) == "stop"


@each_vendor
@each_mode
def test_a_conversation_with_tools_moves_on_through_the_rotation(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    for _ in range(3):
        received = ask(messages=[QUESTION], tools=TOOLS)
        asked = ask.provider
        answer = ask(messages=with_results(received, keep_unknown=False), tools=TOOLS)
        assert ask.provider != asked
        assert text(answer) == TOLD[ask.provider]
    answered = [head.headers["x-attempts"].split(", ") for head in ask.heads]
    assert answered[:3] == trails


@each_vendor
@each_mode
def test_a_tool_keeps_a_name_that_not_everyone_takes(vendor, mode, proxy):
    ask = Caller(vendor, mode, proxy)
    odd = {**TOOLS[0], "function": {**TOOLS[0]["function"], "name": "2nd_weather"}}
    for provider in PROVIDERS:
        received = ask(tools=[odd], tool_choice="required")
        assert ask.trail == [f"{provider}:ok"]
        assert [call.function.name for call in calls(received)] == ["2nd_weather"]


# Everything that may be said without asking for what nobody here has.
FIELDS = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": None,
    "max_completion_tokens": 100,
    "stop": ["STOP"],
    "seed": 7,
    "frequency_penalty": 0,
    "presence_penalty": 0.1,
    "user": "someone",
    "n": 1,
    "logprobs": False,
    "logit_bias": None,
    "reasoning_effort": "low",
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
    "service_tier": "auto",
    "metadata": {"a": "b"},
    "store": False,
    "an_unknown_field": True,
}


@each_vendor
@each_mode
def test_no_field_that_clients_send_costs_an_answer(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be friendly."}]},
        {"role": "user", "content": "One", "name": "me"},
        {"role": "assistant", "content": "Two", "refusal": None, "tool_calls": None, "function_call": None},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    for trail in trails:
        received = ask(messages=messages, extra_body=FIELDS)
        assert ask.trail == trail
        assert text(received) == echo(ask.provider, "Hi")
        assert "an_unknown_field" in ask.heads[-1].headers["x-ignored-fields"]


@each_vendor
@each_mode
def test_an_image_is_seen_whoever_answers(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    for trail in trails:
        received = ask(messages=messages)
        assert ask.trail == trail
        assert f"You said: What is it?\n{SEEN}\n" in text(received)


@each_vendor
@each_mode
def test_json_is_answered_whoever_answers(vendor, mode, rotation):
    origin, trails = rotation
    ask = Caller(vendor, mode, origin)
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    for form, expected in [({"type": "json_object"}, {"answer": "Say JSON"}), (schema, INSTANCE)]:
        answered = set()
        for _ in trails:
            received = ask("Say JSON", response_format=form)
            answered.add(ask.provider)
            assert json.loads(text(received)) == expected
        assert answered == {trail[-1].split(":")[0] for trail in trails}


@each_vendor
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_models_are_listed_and_found(vendor, is_async, proxy):
    caller = Caller(vendor, "", proxy)

    def ask(question):
        async def start():
            async with caller.client(is_async=True) as client:
                yield await question(client.models)

        if is_async:
            return next(drain(start))
        with caller.client() as client:
            return question(client.models)

    ids = [model.id for model in ask(lambda models: models.list()).data]
    assert ids[:3] == ["auto", "groq", "groq/openai/gpt-oss-20b"] and "gemini/gemini-3.5-flash-lite" in ids
    # A client may ask for what is not listed too.
    for id in [*ids, "openai/gpt-oss-20b", "gpt-oss-120b"]:
        found = ask(lambda models, id=id: models.retrieve(id))
        assert (found.id, found.object) == (id, "model")
    with pytest.raises(vendor.sdk.NotFoundError) as caught:
        ask(lambda models: models.retrieve("no/such/model"))
    assert vendor.error_in(caught.value)["code"] == "model_not_found"


ONE_MODEL = {
    "GROQ_MODEL": "openai/gpt-oss-20b",
    "CEREBRAS_MODEL": "gpt-oss-120b",
    "GEMINI_MODEL": "gemini-3.5-flash-lite",
}
NO_KEYS = {"GROQ_API_KEY": None, "CEREBRAS_API_KEY": None, "GOOGLE_API_KEY": None}


@dataclass(frozen=True)
class Refusal:
    """What goes wrong, and what the client is to make of it."""

    status: int
    says: str
    error: dict
    env: dict = field(default_factory=dict)
    faults: str | None = None
    fields: dict = field(default_factory=dict)
    # Whether asking again may help, and after how many seconds.
    may_retry: bool = False
    retry_after: str | None = None


INVALID = "invalid_request_error"
REFUSALS = {
    "field out of range": Refusal(
        400,
        "temperature must be a number from 0 to 2",
        {"type": INVALID, "param": "temperature"},
        fields={"temperature": 9},
    ),
    "several answers": Refusal(400, "n must be 1", {"type": INVALID, "param": "n"}, fields={"n": 2}),
    "wrong message": Refusal(
        400,
        "messages[0].role",
        {"type": INVALID, "param": "messages[0].role"},
        fields={"messages": [{"role": "judge", "content": "Hi"}]},
    ),
    "nobody can": Refusal(
        400, "call tools", {"type": INVALID}, fields={"model": "gemini/gemma-4-31b-it", "tools": TOOLS}
    ),
    "too long for everyone": Refusal(
        400,
        "Every provider refuses this request",
        {"type": INVALID, "code": "context_length_exceeded"},
        faults="context_too_long",
    ),
    "wrong client key": Refusal(
        401,
        "Missing or wrong API key",
        {"type": "authentication_error", "code": "invalid_api_key"},
        {"PROXY_API_KEY": "right"},
    ),
    "wrong origin": Refusal(
        403,
        "This origin",
        {"type": "permission_error"},
        {"CORS_ORIGINS": "https://one.example"},
        fields={"extra_headers": {"origin": "https://other.example"}},
    ),
    "unknown model": Refusal(
        404,
        "The model 'gpt-5' does not exist. There are: auto, groq, ",
        {"type": INVALID, "code": "model_not_found", "param": "model"},
        fields={"model": "gpt-5"},
    ),
    "too large": Refusal(
        413, "MAX_BODY_BYTES", {"type": INVALID}, {"MAX_BODY_BYTES": "1000"}, fields={"content": "Hi" * 999}
    ),
    "not JSON": Refusal(
        415, "application/json", {"type": INVALID}, fields={"extra_headers": {"Content-Type": "text/csv"}}
    ),
    "large head": Refusal(431, "headers", {"type": INVALID}, fields={"extra_headers": {"x-large": "x" * 33_000}}),
    "everyone at the limit": Refusal(
        429,
        "Every provider is at its limit",
        {"type": "rate_limit_error", "code": "rate_limit_exceeded"},
        faults="rate_limited",
        may_retry=True,
        retry_after="2",
    ),
    # Everybody has been asked, and nobody knows when that is over.
    "everyone fails": Refusal(502, "All services failed", {"type": "server_error"}, faults="server_error"),
    "no key is accepted": Refusal(
        502, "All services failed", {"type": "server_error"}, faults="bad_key", retry_after="600"
    ),
    "no keys": Refusal(503, "GROQ_API_KEY", {"type": "server_error"}, NO_KEYS),
    "everyone is silent": Refusal(
        504,
        "No provider answered in time",
        {"type": "server_error"},
        {"FIRST_TOKEN_TIMEOUT_MS": "100", "REQUEST_TIMEOUT_MS": "1000"},
        faults="silence",
    ),
}


@each_vendor
@two_modes
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_the_sdks_own_error_and_is_repeated_only_if_that_helps(vendor, mode, start_proxy, refusal):
    faults = Faults(**dict.fromkeys(PROVIDERS, refusal.faults)) if refusal.faults else None
    options = {"max_retries": 0 if refusal.may_retry else 2}
    ask = Caller(vendor, mode, start_proxy(faults, **refusal.env), options)
    with pytest.raises(vendor.sdk.APIStatusError) as caught:
        ask(**refusal.fields)
    error = caught.value
    assert type(error) is vendor.error_for(refusal.status)
    assert error.status_code == refusal.status
    body = vendor.error_in(error)
    assert refusal.says in body["message"] and refusal.says in str(error)
    assert set(body) - {"attempts"} == {"message", "type", "param", "code"}
    assert includes(body, refusal.error), body
    assert ("attempts" in body) == bool(refusal.faults)
    assert error.response.headers["x-request-id"]
    retry_after = error.response.headers.get("retry-after")
    # Where the provider has stated no time, chance may add one second.
    assert (retry_after is None) == (refusal.retry_after is None)
    assert retry_after is None or int(retry_after) - int(refusal.retry_after) in (0, 1)
    assert error.response.headers.get("x-should-retry") == (None if refusal.may_retry else "false")
    assert len(ask.heads) == 1


@each_vendor
@two_modes
def test_who_waits_as_long_as_told_gets_an_answer(vendor, mode, start_proxy):
    faults = Faults(**dict.fromkeys(PROVIDERS, ["rate_limited", None]))
    # The proxy itself would wait, too.
    ask = Caller(vendor, mode, start_proxy(faults, **ONE_MODEL, MAX_WAIT_MS="0"), {"max_retries": 1})
    # Everybody can serve again, and Groq was asked before the others.
    assert text(ask()) == echo("Groq", "Hi")
    assert [head.status_code for head in ask.heads] == [429, 200]
    assert ask.trail == ["Groq:ok"]


@each_vendor
@each_mode
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("rate_limited", "rate_limited"),
        ("quota_exhausted", "quota_exhausted"),
        ("overloaded", "overloaded"),
        ("html_200", "upstream_error"),
        ("empty", "empty_answer"),
        ("error_event", "overloaded"),
    ],
)
def test_who_fails_before_the_first_word_is_not_noticed(vendor, mode, start_proxy, fault, reason):
    ask = Caller(vendor, mode, start_proxy(Faults(Cerebras=fault)))
    for trail in [["Groq:ok"], [f"Cerebras:{reason}", "Gemini:ok"], ["Groq:ok"]]:
        received = ask()
        assert ask.trail == trail
        assert text(received) == echo(ask.provider, "Hi")


@each_vendor
@each_mode
@pytest.mark.parametrize(("fault", "reason"), [("late_error_event", "overloaded"), ("truncated", "broken_stream")])
def test_an_answer_that_breaks_off_is_an_error_in_a_stream_and_nothing_else(vendor, mode, start_proxy, fault, reason):
    # What breaks before it has reached the client is another's to answer.
    faults = Faults(stops="streamed" in mode, **dict.fromkeys(PROVIDERS, fault))
    ask = Caller(vendor, mode, start_proxy(faults))
    if not ask.is_stream:
        with pytest.raises(vendor.sdk.InternalServerError) as caught:
            ask()
        assert [it["reason"] for it in vendor.error_in(caught.value)["attempts"]] == [reason] * 3
        return
    for provider in PROVIDERS:
        received = []
        with pytest.raises(vendor.sdk.APIError) as caught:
            for part in ask.parts():
                if not text(received) and text([part]):
                    faults.go_on.release()
                received.append(part)
        assert ask.provider == provider
        assert text(received) == "One, two, "
        assert finish_reason(received) is None
        assert provider in str(caught.value)
        assert caught.value.body["code"] == "upstream_error"
