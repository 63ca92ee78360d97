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

from support import ERRORS, URLS, drain, echo, fault, includes


@dataclass(frozen=True)
class Vendor:
    name: str
    sdk: ModuleType
    model: str
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
    Vendor("Groq", groq, "openai/gpt-oss-20b", ChatCompletion, ChatCompletionChunk),
    Vendor("Cerebras", cerebras.cloud.sdk, "gpt-oss-120b", ChatCompletionResponse, ChatChunkResponse),
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
