"""The official Python SDK of Gemini finds in the simulator what it finds at Google."""

import asyncio
import base64
import json

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from support import ERRORS, INSTANCE, PIXEL, SCHEMA, SEEN, URLS, drain, echo, fault, includes

MODEL = "gemini-3.5-flash-lite"

MODES = ["whole", "streamed", "async whole", "async streamed"]
each_mode = pytest.mark.parametrize("mode", MODES)
streamed = pytest.mark.parametrize("mode", ["streamed", "async streamed"])
whole = pytest.mark.parametrize("mode", ["whole", "async whole"])


def client(key="a-key"):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=URLS["Gemini"], timeout=10_000))


def parts(mode, contents="Hi", simulate=None, key="a-key", model=MODEL, extra_body=None, **config):
    """What a call yields: a whole answer or its chunks."""
    headers = {"x-simulate": simulate} if simulate else None
    options = types.HttpOptions(headers=headers, extra_body=extra_body)
    call = {
        "model": model,
        "contents": contents,
        "config": types.GenerateContentConfig(http_options=options, **config),
    }

    async def start():
        async with client(key).aio as asynchronous:
            if "streamed" not in mode:
                yield await asynchronous.models.generate_content(**call)
            else:
                async for chunk in await asynchronous.models.generate_content_stream(**call):
                    yield chunk

    if "async" in mode:
        yield from drain(start)
    else:
        with client(key) as synchronous:
            if "streamed" not in mode:
                yield synchronous.models.generate_content(**call)
            else:
                yield from synchronous.models.generate_content_stream(**call)


def said(received):
    return [piece for part in received for piece in part.candidates[0].content.parts]


def text(received):
    return "".join(piece.text or "" for piece in said(received) if not piece.thought)


def finish_reasons(received):
    return [part.candidates[0].finish_reason for part in received]


@each_mode
def test_an_answer_is_complete(mode):
    received = list(parts(mode))
    assert text(received) == "".join(part.text for part in received) == echo("Gemini", "Hi")
    assert len({part.response_id for part in received}) == 1
    assert {part.model_version for part in received} == {MODEL}
    assert {part.candidates[0].content.role for part in received} == {"model"}
    *earlier, last = received
    assert len(earlier) > 1 if "streamed" in mode else not earlier
    assert finish_reasons(received) == [None] * len(earlier) + [types.FinishReason.STOP]
    # Every chunk counts what has come so far.
    counts = [part.usage_metadata.total_token_count for part in received]
    assert counts == sorted(counts)
    usage = last.usage_metadata
    assert usage.prompt_token_count > 0 and usage.candidates_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert usage.thoughts_token_count is None
    assert usage.prompt_tokens_details[0].modality == types.MediaModality.TEXT


@each_mode
def test_thoughts_come_apart_from_the_text(mode):
    received = list(parts(mode, simulate="thinking", thinking_config=types.ThinkingConfig(include_thoughts=True)))
    assert "".join(piece.text for piece in said(received) if piece.thought) == "Let me think."
    assert text(received) == "One, two, three."
    assert received[-1].usage_metadata.thoughts_token_count > 0


@each_mode
def test_an_answer_can_end_for_its_length(mode):
    received = list(parts(mode, simulate="length"))
    assert text(received) == "One, two, three."
    assert finish_reasons(received)[-1] == types.FinishReason.MAX_TOKENS


@each_mode
def test_a_blocked_prompt_has_no_candidates(mode):
    [answer] = parts(mode, simulate="blocked")
    assert answer.candidates is None
    assert answer.text is None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    assert answer.usage_metadata.prompt_token_count > 0


@each_mode
def test_a_conversation_with_a_system_instruction_is_answered_at_its_end(mode):
    turns = [("user", "One"), ("model", "Two"), ("user", "Hi")]
    contents = [types.Content(role=role, parts=[types.Part(text=words)]) for role, words in turns]
    short = list(parts(mode))
    long = list(parts(mode, contents=contents, system_instruction="You are terse."))
    assert text(long) == echo("Gemini", "Hi")
    assert long[-1].usage_metadata.prompt_token_count > short[-1].usage_metadata.prompt_token_count


def tools(*names):
    return [types.Tool(function_declarations=[function(name) for name in names])]


def function(name):
    return types.FunctionDeclaration(name=name, description="Weather", parameters_json_schema=SCHEMA)


def calls(received):
    return [piece.function_call for piece in said(received) if piece.function_call]


def assert_calls(received, names):
    """Each call comes whole, only the first is signed, and the reason to end is the usual one."""
    assert [(call.name, call.args, call.id) for call in calls(received)] == [(name, INSTANCE, None) for name in names]
    signatures = [bool(piece.thought_signature) for piece in said(received) if piece.function_call]
    assert signatures == [True] + [False] * (len(names) - 1)
    assert finish_reasons(received)[-1] == types.FinishReason.STOP
    assert received[-1].usage_metadata.candidates_token_count == len(names)
    assert "".join(piece.text or "" for piece in said(received)) == ""


def calling(mode, *names):
    config = types.FunctionCallingConfig(mode=mode, allowed_function_names=list(names) or None)
    return types.ToolConfig(function_calling_config=config)


@each_mode
def test_a_tool_is_called(mode):
    both = tools("get_weather", "get_time")
    assert_calls(list(parts(mode, simulate="tool_call", tools=both)), ["get_weather"])
    assert_calls(list(parts(mode, "Please get_time", tools=both)), ["get_time"])
    assert_calls(list(parts(mode, tools=both, tool_config=calling("ANY"))), ["get_weather"])
    assert_calls(list(parts(mode, tools=both, tool_config=calling("ANY", "get_time"))), ["get_time"])
    received = list(parts(mode, "Please get_time", tools=both, tool_config=calling("NONE")))
    assert text(received) == echo("Gemini", "Please get_time")
    openapi = types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")})
    declared = [types.Tool(function_declarations=[types.FunctionDeclaration(name="get", parameters=openapi)])]
    [call] = calls(list(parts(mode, "get", tools=declared)))
    assert call.args == {"city": "text"}


@each_mode
def test_tools_are_called_in_parallel(mode):
    both = tools("get_weather", "get_time")
    for how in [{"simulate": "parallel_calls"}, {"contents": "get_time and get_weather"}]:
        assert_calls(list(parts(mode, tools=both, **how)), ["get_weather", "get_time"])


@each_mode
def test_the_results_of_tools_are_answered_if_the_signature_comes_back(mode):
    both = tools("get_weather", "get_time")
    question = types.Content(role="user", parts=[types.Part(text="get_time and get_weather")])
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level="LOW")
    received = list(parts(mode, [question], tools=both, thinking_config=thinking))
    # The chunks of a stream go back as they came.
    turns = [part.candidates[0].content for part in received]
    responses = [
        types.Part.from_function_response(name=call.name, response={"result": call.name}) for call in calls(received)
    ]
    history = [question, *turns, types.Content(role="user", parts=responses)]
    told = 'Tool said: {"result":"get_weather"} | {"result":"get_time"}'
    assert text(list(parts(mode, history, tools=both))) == told
    for turn in turns:
        for piece in turn.parts:
            piece.thought_signature = None
    with pytest.raises(errors.ClientError, match="missing a thought_signature in functionCall parts") as caught:
        list(parts(mode, history, tools=both))
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


def get_weather(city: str) -> str:
    """Weather."""
    return f"sunny in {city}"


def test_a_chat_calls_a_function_by_itself():
    with client() as synchronous:
        config = types.GenerateContentConfig(tools=[get_weather])
        for start in [lambda chat, words: chat.send_message(words).text,
                      lambda chat, words: "".join(chunk.text or "" for chunk in chat.send_message_stream(words))]:
            chat = synchronous.chats.create(model=MODEL, config=config)
            assert start(chat, "get_weather") == 'Tool said: {"result":"sunny in text"}'
            assert start(chat, "And now?") == echo("Gemini", "And now?")


@each_mode
def test_a_garbled_call_ends_the_answer(mode):
    [answer] = parts(mode, simulate="tool_use_failed", tools=tools("get_weather"))
    [candidate] = answer.candidates
    assert candidate.finish_reason == types.FinishReason.MALFORMED_FUNCTION_CALL
    assert not candidate.content.parts


@each_mode
def test_json_is_answered_where_it_is_asked_for(mode):
    received = list(parts(mode, "Say JSON", response_mime_type="application/json"))
    assert json.loads(text(received)) == {"answer": "Say JSON"}
    assert len(received) > 4 or "streamed" not in mode
    for schema in [{"response_json_schema": SCHEMA}, {"response_schema": {"type": "OBJECT", **only_properties()}}]:
        received = list(parts(mode, response_mime_type="application/json", **schema))
        assert json.loads(text(received)) == INSTANCE


def only_properties():
    """What Google's own schemas know of SCHEMA."""
    return {name: SCHEMA[name] for name in ["properties", "required"]}


@each_mode
def test_an_image_is_seen(mode):
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert f"You said: What is it?\n{SEEN}\n" in text(list(parts(mode, ["What is it?", image])))


@each_mode
def test_who_asks_for_thoughts_sees_them_first(mode):
    thinking = types.ThinkingConfig(include_thoughts=True)
    received = list(parts(mode, thinking_config=thinking))
    assert [piece.text for piece in said(received) if piece.thought] == ["I shall echo."]
    assert said(received)[0].thought
    assert text(received) == echo("Gemini", "Hi")
    assert received[-1].usage_metadata.thoughts_token_count == 1


def test_a_chat_keeps_its_history():
    with client() as synchronous:
        chat = synchronous.chats.create(model=MODEL)
        assert chat.send_message("One").text == echo("Gemini", "One")
        assert "".join(chunk.text for chunk in chat.send_message_stream("Two")) == echo("Gemini", "Two")
        roles = [content.role for content in chat.get_history()]
    assert roles[:3] == ["user", "model", "user"]
    assert set(roles[3:]) == {"model"}


def test_models_are_listed_and_found():
    with client() as synchronous:
        models = {model.name: model for model in synchronous.models.list()}
        listed = models[f"models/{MODEL}"]
        assert "generateContent" in listed.supported_actions
        assert listed.input_token_limit > listed.output_token_limit > 0
        assert synchronous.models.get(model=MODEL) == listed.model_copy(update={"sdk_http_response": None})
        with pytest.raises(errors.ClientError) as caught:
            synchronous.models.get(model="no-such-model")
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")

    async def names():
        async with client().aio as asynchronous:
            return [model.name async for model in await asynchronous.models.list()]

    assert asyncio.run(names()) == list(models)


@each_mode
@pytest.mark.parametrize("name", ERRORS["Gemini"])
def test_a_refusal_is_the_sdks_own_error(mode, name):
    assert_refused(mode, fault(name), row=ERRORS["Gemini"][name])


def assert_refused(mode, fields, row):
    with pytest.raises(errors.APIError) as caught:
        list(parts(mode, **fields))
    error = caught.value
    assert type(error) is (errors.ServerError if row["http"] >= 500 else errors.ClientError)
    assert error.code == row["http"]
    assert row["says"] in error.message
    assert includes(error.details["error"], row["error"]), error.details
    assert error.status == error.details["error"]["status"]
    limits = [header for header in error.response.headers if "ratelimit" in header or header == "retry-after"]
    assert limits == []


@each_mode
def test_a_web_page_is_an_error_with_that_page(mode):
    with pytest.raises(errors.ServerError) as caught:
        list(parts(mode, simulate="html"))
    assert caught.value.code == 503
    assert caught.value.message.startswith("<!DOCTYPE html>")


@streamed
@pytest.mark.parametrize(("simulate", "text_before"), [("error_event", ""), ("late_error_event", "One, two, ")])
def test_an_error_within_a_stream_is_raised_after_the_text_before_it(mode, simulate, text_before):
    received = []
    with pytest.raises(errors.ServerError) as caught:
        for chunk in parts(mode, simulate=simulate):
            received.append(chunk)
    assert text(received) == text_before
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")
    assert "overloaded" in caught.value.message


@whole
@pytest.mark.parametrize("simulate", ["error_event", "late_error_event"])
def test_an_error_while_a_whole_answer_is_made_has_its_status(mode, simulate):
    assert_refused(mode, fault(simulate), row=ERRORS["Gemini"]["overloaded"])


@streamed
def test_a_truncated_stream_ends_without_a_finish_reason(mode):
    received = list(parts(mode, simulate="truncated"))
    assert text(received) == "One, two, "
    assert set(finish_reasons(received)) == {None}


@whole
def test_a_truncated_whole_answer_cannot_be_read(mode):
    with pytest.raises(json.JSONDecodeError):
        list(parts(mode, simulate="truncated"))


@each_mode
def test_a_reset_is_an_error_of_the_connection(mode):
    received = []
    with pytest.raises(httpx2.ReadError):
        for part in parts(mode, simulate="reset"):
            received.append(part)
    assert "One, two, ".startswith(text(received))
    assert set(finish_reasons(received)) <= {None}
