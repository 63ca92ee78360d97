"""The official Python SDKs of Groq and Cerebras find in the simulator what they find at their providers."""

import asyncio
import json
import re
from dataclasses import dataclass
from types import ModuleType

import cerebras.cloud.sdk
import groq
import httpx
import pytest
from cerebras.cloud.sdk.types.chat.chat_completion import ChatChunkResponse, ChatCompletionResponse
from groq.types.chat import ChatCompletion, ChatCompletionChunk

from support import ERRORS, INSTANCE, PIXEL, SCHEMA, SEEN, URLS, drain, echo, fault, includes


@dataclass(frozen=True)
class Vendor:
    name: str
    sdk: ModuleType
    model: str
    vision_model: str
    whole: type
    chunk: type

    def client(self, is_async=False, key="a-key"):
        # Strict: what does not fit the SDK's types is an error.
        connect = getattr(self.sdk, f"{'Async' if is_async else ''}{self.name}")
        return connect(
            api_key=key, base_url=URLS[self.name], max_retries=0, timeout=10, _strict_response_validation=True
        )

    def error_for(self, status):
        names = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}
        return getattr(self.sdk, "InternalServerError" if status >= 500 else names.get(status, "APIStatusError"))

    def error_in(self, body):
        return body["error"] if self.name == "Groq" else body


VENDORS = [
    Vendor("Groq", groq, "openai/gpt-oss-20b", "qwen/qwen3.8-27b", ChatCompletion, ChatCompletionChunk),
    Vendor(
        "Cerebras", cerebras.cloud.sdk, "gpt-oss-120b", "qwen-3.8-27b", ChatCompletionResponse, ChatChunkResponse
    ),
]
each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
MODES = ["whole", "streamed", "async whole", "async streamed"]
each_mode = pytest.mark.parametrize("mode", MODES)
streamed = pytest.mark.parametrize("mode", ["streamed", "async streamed"])
whole = pytest.mark.parametrize("mode", ["whole", "async whole"])


def parts(vendor, mode, messages=None, simulate=None, key="a-key", **fields):
    """What a call yields: a whole answer or its chunks."""
    call = {
        "model": vendor.model,
        "messages": messages or [{"role": "user", "content": "Hi"}],
        "stream": "streamed" in mode,
        "extra_headers": {"x-simulate": simulate} if simulate else None,
        **fields,
    }

    async def start():
        async with vendor.client(is_async=True, key=key) as client:
            answer = await client.chat.completions.create(**call)
            if not call["stream"]:
                yield answer
            else:
                async for chunk in answer:
                    yield chunk

    if "async" in mode:
        yield from drain(start)
    else:
        with vendor.client(key=key) as client:
            answer = client.chat.completions.create(**call)
            yield from answer if call["stream"] else [answer]


def said(received):
    return [getattr(part.choices[0], "delta", None) or part.choices[0].message for part in received]


def text(received):
    return "".join(piece.content or "" for piece in said(received))


def finish_reasons(received):
    return [part.choices[0].finish_reason for part in received]


@each_vendor
@each_mode
def test_an_answer_is_complete_and_of_the_sdks_own_types(vendor, mode):
    received = list(parts(vendor, mode))
    is_stream = "streamed" in mode
    assert text(received) == echo(vendor.name, "Hi")
    assert {type(part) for part in received} == {vendor.chunk if is_stream else vendor.whole}
    assert len({part.id for part in received}) == 1
    assert {part.model for part in received} == {vendor.model}
    assert said(received)[0].role == "assistant"
    *earlier, last = received
    assert len(earlier) > 1 if is_stream else not earlier
    assert finish_reasons(received) == [None] * len(earlier) + ["stop"]
    assert all(part.usage is None for part in earlier)
    assert last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    match vendor.name, is_stream:
        case "Groq", True:
            assert received[0].x_groq.id == last.x_groq.id
            assert last.x_groq.usage == last.usage
        case "Cerebras", _:
            assert last.time_info.total_time > 0


@each_vendor
@each_mode
def test_thoughts_come_apart_from_the_text(vendor, mode):
    received = list(parts(vendor, mode, simulate="thinking"))
    assert "".join(piece.reasoning or "" for piece in said(received)) == "Let me think."
    assert text(received) == "One, two, three."
    assert received[-1].usage.completion_tokens_details.reasoning_tokens > 0


@pytest.mark.parametrize(
    ("vendor", "mode", "simulate", "finish", "answer"),
    [
        (vendor, mode, *row)
        for row in [("length", "length", "One, two, three."), ("blocked", "content_filter", "")]
        for vendor in VENDORS
        for mode in MODES
        # Groq's types know content_filter in streams only.
        if (vendor.name, row[0]) != ("Groq", "blocked") or "streamed" in mode
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_answer_says_why_it_ended(vendor, mode, simulate, finish, answer):
    received = list(parts(vendor, mode, simulate=simulate))
    assert text(received) == answer
    assert finish_reasons(received)[-1] == finish


@each_vendor
@each_mode
def test_a_conversation_with_a_system_message_is_answered_at_its_end(vendor, mode):
    conversation = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Hi"},
    ]
    short, long = ([*parts(vendor, mode, messages=messages)] for messages in (None, conversation))
    assert text(long) == echo(vendor.name, "Hi")
    assert long[-1].usage.prompt_tokens > short[-1].usage.prompt_tokens


def tool(name):
    return {"type": "function", "function": {"name": name, "description": "Weather", "parameters": SCHEMA}}


def calls(received):
    return [call for piece in said(received) for call in piece.tool_calls or []]


def assert_calls(vendor, mode, received, names):
    """Each call comes whole, with no text, and the calls are numbered in a stream."""
    assert [call.function.name for call in calls(received)] == names
    assert [json.loads(call.function.arguments) for call in calls(received)] == [INSTANCE] * len(names)
    assert {call.type for call in calls(received)} == {"function"}
    ids = [call.id for call in calls(received)]
    assert len(set(ids)) == len(names) and all(re.fullmatch("[A-Za-z0-9]{9}", id) for id in ids)
    assert finish_reasons(received)[-1] == "tool_calls"
    assert received[-1].usage.completion_tokens > 0
    assert text(received) == ""
    if "streamed" in mode:
        assert [call.index for call in calls(received)] == list(range(len(names)))
        # Groq begins with a null.
        assert ("content" in said(received)[0].model_fields_set) == (vendor.name == "Groq")
    else:
        assert "content" not in said(received)[0].model_fields_set


@each_vendor
@each_mode
def test_a_tool_is_called(vendor, mode):
    tools = [tool("get_weather"), tool("get_time")]
    question = [{"role": "user", "content": "Please get_time"}]
    named = {"type": "function", "function": {"name": "get_time"}}
    assert_calls(vendor, mode, list(parts(vendor, mode, simulate="tool_call", tools=tools)), ["get_weather"])
    assert_calls(vendor, mode, list(parts(vendor, mode, question, tools=tools)), ["get_time"])
    assert_calls(vendor, mode, list(parts(vendor, mode, tools=tools, tool_choice="required")), ["get_weather"])
    assert_calls(vendor, mode, list(parts(vendor, mode, tools=tools, tool_choice=named)), ["get_time"])
    assert text(parts(vendor, mode, question, tools=tools, tool_choice="none")) == echo(vendor.name, "Please get_time")


@each_vendor
@each_mode
def test_tools_are_called_in_parallel(vendor, mode):
    tools = [tool("get_weather"), tool("get_time")]
    question = [{"role": "user", "content": "get_time and get_weather"}]
    for how in [{"simulate": "parallel_calls"}, {"messages": question, "parallel_tool_calls": True}]:
        assert_calls(vendor, mode, list(parts(vendor, mode, tools=tools, **how)), ["get_weather", "get_time"])


@each_vendor
@each_mode
def test_the_results_of_tools_are_answered(vendor, mode):
    tools = [tool("get_weather"), tool("get_time")]
    messages = [{"role": "user", "content": "get_time and get_weather"}]
    [answer] = parts(vendor, "whole", messages, tools=tools, reasoning_effort="low")
    # The SDK's own object goes back as it came, reasoning included.
    message = answer.choices[0].message
    assert message.reasoning
    messages.append(message if vendor.name == "Groq" else message.model_dump(exclude_unset=True))
    for call, result in zip(message.tool_calls, ["21 degrees", "noon"], strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    received = list(parts(vendor, mode, messages, tools=tools))
    assert text(received) == "Tool said: 21 degrees | noon"
    assert finish_reasons(received)[-1] == "stop"


@each_vendor
@each_mode
def test_a_garbled_call_is_an_error(vendor, mode):
    with pytest.raises(vendor.sdk.APIError) as caught:
        list(parts(vendor, mode, simulate="tool_use_failed", tools=[tool("get_weather")]))
    if "streamed" not in mode:
        assert type(caught.value) is vendor.sdk.BadRequestError
        body = vendor.error_in(caught.value.body)
    else:
        body = caught.value.body
    assert body["code"] == "tool_use_failed"
    assert body["failed_generation"].startswith("<function=")


@each_vendor
@each_mode
def test_json_is_answered_where_it_is_asked_for(vendor, mode):
    question = [{"role": "user", "content": "Say JSON"}]
    received = list(parts(vendor, mode, question, response_format={"type": "json_object"}))
    assert json.loads(text(received)) == {"answer": "Say JSON"}
    assert len(received) > 4 or "streamed" not in mode
    schema = {"name": "answer", "strict": True, "schema": SCHEMA}
    form = {"type": "json_schema", "json_schema": schema}
    if vendor.name == "Groq" and "streamed" in mode:
        with pytest.raises(groq.BadRequestError, match="streaming"):
            list(parts(vendor, mode, response_format=form))
    else:
        assert json.loads(text(parts(vendor, mode, response_format=form))) == INSTANCE


@each_vendor
@each_mode
def test_an_image_is_seen_by_models_that_see(vendor, mode):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    said = text(parts(vendor, mode, messages, model=vendor.vision_model))
    assert f"You said: What is it?\n{SEEN}\n" in said
    with pytest.raises(vendor.sdk.BadRequestError):
        list(parts(vendor, mode, messages))


@each_vendor
@each_mode
def test_who_sets_how_long_to_think_sees_the_thoughts(vendor, mode):
    received = list(parts(vendor, mode, reasoning_effort="low"))
    assert "".join(piece.reasoning or "" for piece in said(received)) == "I shall echo."
    assert text(received) == echo(vendor.name, "Hi")
    hidden = list(parts(vendor, mode, reasoning_effort="low", reasoning_format="hidden"))
    assert not any(piece.reasoning for piece in said(hidden))


@each_vendor
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_models_are_listed_and_found(vendor, is_async):
    def ask(question):
        if not is_async:
            with vendor.client() as client:
                return question(client.models)

        async def answer():
            async with vendor.client(is_async=True) as client:
                return await question(client.models)

        return asyncio.run(answer())

    listed = ask(lambda models: models.list())
    assert listed.object == "list"
    assert vendor.model in [model.id for model in listed.data]
    found = ask(lambda models: models.retrieve(vendor.model))
    assert (found.id, found.object) == (vendor.model, "model")
    with pytest.raises(vendor.sdk.NotFoundError) as caught:
        ask(lambda models: models.retrieve("no-such-model"))
    assert vendor.error_in(caught.value.body)["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("vendor", "patterns"),
    [
        (VENDORS[0], {"limit-requests": r"\d+", "remaining-tokens": r"\d+", "reset-requests": r"[\dhms.]+"}),
        (VENDORS[1], {"limit-requests-day": r"\d+", "remaining-tokens-minute": r"\d+", "reset-requests-day": r"[\d.]+"}),
    ],
    ids=["Groq", "Cerebras"],
)
def test_answers_tell_the_limits_in_their_headers(vendor, patterns):
    with vendor.client() as client:
        question = [{"role": "user", "content": "Hi"}]
        raw = client.chat.completions.with_raw_response.create(model=vendor.model, messages=question)
    for name, pattern in patterns.items():
        assert re.fullmatch(pattern, raw.headers.get(f"x-ratelimit-{name}", "")), raw.headers


@each_vendor
@each_mode
@pytest.mark.parametrize("name", ERRORS["Groq"])
def test_a_refusal_is_the_sdks_own_error(vendor, mode, name):
    assert_refused(vendor, mode, fault(name), row=ERRORS[vendor.name][name])


def assert_refused(vendor, mode, fields, row):
    with pytest.raises(vendor.sdk.APIStatusError) as caught:
        list(parts(vendor, mode, **fields))
    error = caught.value
    assert type(error) is vendor.error_for(row["http"])
    assert error.status_code == row["http"]
    body = vendor.error_in(error.body)
    assert row["says"] in body["message"]
    assert includes(body, row.get("error", {})), body
    assert includes(dict(error.response.headers), row.get("headers", {})), error.response.headers


@each_vendor
@each_mode
def test_a_web_page_is_an_error_with_that_page(vendor, mode):
    with pytest.raises(vendor.sdk.InternalServerError) as caught:
        list(parts(vendor, mode, simulate="html"))
    assert caught.value.status_code == 503
    assert caught.value.body.startswith("<!DOCTYPE html>")


@each_vendor
@streamed
@pytest.mark.parametrize(("simulate", "text_before"), [("error_event", ""), ("late_error_event", "One, two, ")])
def test_an_error_within_a_stream_is_raised_after_the_text_before_it(vendor, mode, simulate, text_before):
    received = []
    with pytest.raises(vendor.sdk.APIError, match="over capacity") as caught:
        for chunk in parts(vendor, mode, simulate=simulate):
            received.append(chunk)
    assert text(received) == text_before
    assert caught.value.body["type"] == "internal_server_error"
    if vendor.name == "Cerebras":
        assert type(caught.value) is vendor.sdk.InternalServerError
        assert caught.value.status_code == 503
    else:
        assert caught.value.body["status_code"] == 503


@each_vendor
@whole
@pytest.mark.parametrize("simulate", ["error_event", "late_error_event"])
def test_an_error_while_a_whole_answer_is_made_has_its_status(vendor, mode, simulate):
    assert_refused(vendor, mode, fault(simulate), row=ERRORS[vendor.name]["overloaded"])


@each_vendor
@streamed
def test_a_truncated_stream_ends_without_a_finish_reason(vendor, mode):
    received = list(parts(vendor, mode, simulate="truncated"))
    assert text(received) == "One, two, "
    assert set(finish_reasons(received)) == {None}
    assert received[-1].usage is None


@each_vendor
@whole
def test_a_truncated_whole_answer_cannot_be_read(vendor, mode):
    with pytest.raises(json.JSONDecodeError):
        list(parts(vendor, mode, simulate="truncated"))


@each_vendor
@each_mode
def test_a_reset_is_an_error_of_the_connection(vendor, mode):
    received = []
    # The SDKs give the HTTP library's own error once they have begun to stream.
    with pytest.raises(httpx.ReadError if "streamed" in mode else vendor.sdk.APIConnectionError):
        for part in parts(vendor, mode, simulate="reset"):
            received.append(part)
    assert "One, two, ".startswith(text(received))
    assert set(finish_reasons(received)) <= {None}
