"""Google's Python SDK finds in the proxy what it finds at Google, whoever answers."""

import base64

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from support import INSTANCE, PIXEL, PROVIDERS, SCHEMA, SEEN, Faults, drain, echo

TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, description="Weather", parameters_json_schema=SCHEMA)
            for name in ["get_weather", "get_time"]
        ]
    )
]
NO_AUTOMATIC_CALLS = types.AutomaticFunctionCallingConfig(disable=True)
WAYS = ["whole", "streamed", "async whole", "async streamed"]
each_way = pytest.mark.parametrize("way", WAYS)


def connect(origin, key="a-key"):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=origin, timeout=10_000))


def chunks(origin, way, contents="Hi", model="auto", key="a-key", **config):
    """What a call yields: a whole answer or its chunks."""
    call = {"model": model, "contents": contents, "config": types.GenerateContentConfig(**config)}

    async def start():
        async with connect(origin, key).aio as client:
            if "streamed" not in way:
                yield await client.models.generate_content(**call)
                return
            async for chunk in await client.models.generate_content_stream(**call):
                yield chunk

    if "async" in way:
        return list(drain(start))
    client = connect(origin, key)
    if "streamed" in way:
        return list(client.models.generate_content_stream(**call))
    return [client.models.generate_content(**call)]


def parts(answer):
    return [part for chunk in answer for part in chunk.candidates[0].content.parts]


def text(answer):
    return "".join(part.text for part in parts(answer) if part.text and not part.thought)


@each_way
def test_everybody_answers(proxy, way):
    for provider in PROVIDERS:
        answer = chunks(proxy, way)
        assert text(answer) == echo(provider, "Hi")
        last = answer[-1]
        assert last.candidates[0].finish_reason == types.FinishReason.STOP
        assert last.usage_metadata.prompt_token_count > 0 and last.usage_metadata.candidates_token_count > 0
        assert last.model_version.startswith(f"{provider.lower()}/") and last.response_id


@each_way
def test_tools_are_called_and_their_results_come_back(proxy, way):
    for provider in PROVIDERS:
        asked = types.UserContent("get_weather and get_time")
        config = {"model": provider.lower(), "tools": TOOLS, "automatic_function_calling": NO_AUTOMATIC_CALLS}
        turn = parts(chunks(proxy, way, [asked], **config))
        calls = [part.function_call for part in turn if part.function_call]
        assert [(call.name, call.args) for call in calls] == [("get_weather", INSTANCE), ("get_time", INSTANCE)]
        assert calls[0].id != calls[1].id
        results = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": said}))
            for call, said in zip(reversed(calls), ["noon", "rain"], strict=True)
        ]
        history = [asked, types.ModelContent(turn), types.UserContent(results)]
        said = text(chunks(proxy, way, history, **config))
        assert "rain" in said and "noon" in said, said


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_chat_remembers_its_first_turn(proxy, is_streamed):
    """The helper forgets a turn silently whose last chunk it does not like."""
    for provider in PROVIDERS:
        client = connect(proxy)
        chat = client.chats.create(model=provider.lower())
        for number, question in enumerate(["First", "Second"], 1):
            if is_streamed:
                list(chat.send_message_stream(question))
            else:
                chat.send_message(question)
            # Each chunk of a stream is a turn of its own there.
            history = chat.get_history(curated=True)
            assert sum(turn.role == "user" for turn in history) == number, provider
            said = "".join(part.text or "" for turn in history if turn.role == "model" for part in turn.parts)
            assert said.count("This answer comes word by word") == number, said


def test_functions_are_run_by_the_sdk_itself(proxy):
    def get_weather(city: str, days: int) -> str:
        """Weather."""
        return f"rain in {city} for {days} days"

    for provider in PROVIDERS:
        (answer,) = chunks(proxy, "whole", "get_weather", model=provider.lower(), tools=[get_weather])
        assert "rain in text for" in answer.text, answer.text


def test_pictures_are_seen(proxy):
    picture = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    (answer,) = chunks(proxy, "whole", [picture, "What is this?"], model="gemini")
    assert SEEN in answer.text


def test_answers_have_the_form_of_a_class(proxy):
    class Trip(BaseModel):
        city: str
        days: int

    for provider in PROVIDERS:
        (answer,) = chunks(
            proxy, "whole", model=provider.lower(), response_mime_type="application/json", response_schema=Trip
        )
        assert isinstance(answer.parsed, Trip), answer.text


def test_tokens_are_counted_and_models_are_listed(proxy):
    client = connect(proxy)
    assert 0 < client.models.count_tokens(model="gemini-3.8-flash", contents="Hi").total_tokens < 20
    models = list(client.models.list())
    assert "models/auto" in [model.name for model in models]
    for model in models[:3]:
        assert client.models.get(model=model.name) == model
        assert client.models.generate_content(model=model.name, contents="Hi").text


def test_what_comes_late_is_raised_behind_what_came_before(start_proxy):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    client = connect(start_proxy(faults))
    for _ in PROVIDERS:
        came = []
        # The error event, or the connection that breaks behind it.
        with pytest.raises((errors.APIError, OSError, httpx2.HTTPError)):
            for chunk in client.models.generate_content_stream(model="auto", contents="Hi"):
                came.append(chunk.text)
                # The answer goes on when its beginning is here.
                if len(came) == 1:
                    faults.go_on.release()
        assert "".join(came).startswith("One, ")
    assert faults.asked == dict.fromkeys(PROVIDERS, 1), "what has begun is not asked for again"


# What all providers do, and the error.
ERRORS = [
    ("rate_limited", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
    ("server_error", errors.ServerError, 502, "UNAVAILABLE"),
    ("bad_request", errors.ClientError, 400, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("fault", "raised", "status", "word"), ERRORS, ids=[error[0] for error in ERRORS])
def test_errors_have_their_exceptions_and_cost_few_calls(start_proxy, fault, raised, status, word):
    models = {"GROQ_MODEL": "openai/gpt-oss-20b", "CEREBRAS_MODEL": "gpt-oss-120b", "GEMINI_MODEL": "gemini-3.8-flash"}
    faults = Faults(**dict.fromkeys(PROVIDERS, fault))
    origin = start_proxy(faults, **models, MAX_WAIT_MS="0")
    with pytest.raises(raised) as caught:
        chunks(origin, "whole")
    assert (caught.value.code, caught.value.status) == (status, word)
    assert all(calls == 1 for calls in faults.asked.values()), faults.asked


def test_a_wrong_key_is_refused(start_proxy):
    with pytest.raises(errors.ClientError) as caught:
        chunks(start_proxy(PROXY_API_KEY="another"), "whole")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    assert chunks(start_proxy(PROXY_API_KEY="a-key"), "whole")
