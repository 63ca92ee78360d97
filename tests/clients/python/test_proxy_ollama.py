"""Ollama's Python library finds in the proxy what it finds at Ollama, whoever answers."""

import json

import httpx
import ollama
import pytest
from pydantic import BaseModel

from support import INSTANCE, PIXEL, PROVIDERS, SEEN, TOOLS, Faults, drain, echo

WAYS = ["whole", "streamed", "async whole", "async streamed"]
each_way = pytest.mark.parametrize("way", WAYS)


def connect(origin, key="a-key"):
    return ollama.Client(origin, headers={"authorization": f"Bearer {key}"}, timeout=10)


def parts(origin, way, call="chat", key="a-key", **fields):
    """What a call yields: a whole answer or its parts."""
    fields = {"model": "auto", "stream": "streamed" in way} | fields

    async def start():
        client = ollama.AsyncClient(origin, headers={"authorization": f"Bearer {key}"}, timeout=10)
        answer = await getattr(client, call)(**fields)
        if not fields["stream"]:
            yield answer
            return
        async for part in answer:
            yield part

    if "async" in way:
        return list(drain(start))
    answer = getattr(connect(origin, key), call)(**fields)
    return list(answer) if fields["stream"] else [answer]


def user(content, **fields):
    return {"role": "user", "content": content} | fields


def text(answer):
    return "".join(part.message.content or "" for part in answer)


@each_way
def test_everybody_answers(proxy, way):
    for provider in PROVIDERS:
        answer = parts(proxy, way, messages=[user("Hi")])
        assert text(answer) == echo(provider, "Hi")
        last = answer[-1]
        assert (last.done, last.done_reason) == (True, "stop")
        assert last.prompt_eval_count > 0 and last.eval_count > 0 and last.eval_duration > 0
        assert last.model.startswith(f"{provider.lower()}/")


@each_way
def test_a_prompt_is_answered(proxy, way):
    for provider in PROVIDERS:
        answer = parts(proxy, way, "generate", prompt="Hi")
        assert "".join(part.response for part in answer) == echo(provider, "Hi")
        assert answer[-1].done_reason == "stop"


@each_way
def test_tools_are_called_and_their_results_come_back(proxy, way):
    for provider in PROVIDERS:
        fields = {"model": provider.lower(), "tools": TOOLS}
        asked = user("get_weather and get_time")
        answer = parts(proxy, way, messages=[asked], **fields)
        calls = [call for part in answer for call in part.message.tool_calls or []]
        assert [(call.function.name, call.function.arguments) for call in calls] == [
            ("get_weather", CALLED),
            ("get_time", CALLED),
        ]
        turn = ollama.Message(role="assistant", content=text(answer), tool_calls=calls)
        results = [{"role": "tool", "tool_name": name, "content": said} for name, said in RESULTS.items()]
        said = text(parts(proxy, way, messages=[asked, turn, *results], **fields))
        assert all(result in said for result in RESULTS.values()), said


# The library keeps no `minimum` of a schema.
CALLED = INSTANCE | {"days": 1}

# By their names, in another order than they were asked for.
RESULTS = {"get_time": "noon", "get_weather": "rain"}


def test_a_function_becomes_a_tool(proxy):
    def get_weather(city: str) -> str:
        """Weather.

        Args:
            city: Where.
        """
        return f"rain in {city}"

    for provider in PROVIDERS:
        (answer,) = parts(
            proxy, "whole", model=provider.lower(), messages=[user("get_weather")], tools=[get_weather]
        )
        (call,) = answer.message.tool_calls
        assert get_weather(**call.function.arguments) == "rain in text"


def test_pictures_are_seen(proxy):
    (answer,) = parts(proxy, "whole", model="gemini", messages=[user("What is this?", images=[PIXEL])])
    assert SEEN in answer.message.content


def test_answers_have_the_form_of_a_class(proxy):
    class Trip(BaseModel):
        city: str
        days: int

    for provider in PROVIDERS:
        (answer,) = parts(
            proxy, "whole", model=provider.lower(), messages=[user("Hi")], format=Trip.model_json_schema()
        )
        Trip.model_validate_json(answer.message.content)
        (answer,) = parts(proxy, "whole", model=provider.lower(), messages=[user("Hi")], format="json")
        assert isinstance(json.loads(answer.message.content), dict)


def test_models_are_listed_shown_and_answer(proxy):
    client = connect(proxy)
    models = client.list().models
    assert "auto:latest" in [model.model for model in models]
    for model in models:
        shown = client.show(model.model)
        assert "completion" in shown.capabilities
        assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] > 1000
        assert client.generate(model.model, "Hi").response
    assert client.ps().models == []


def test_a_model_is_loaded_without_a_call(start_proxy):
    faults = Faults(**dict.fromkeys(PROVIDERS, "server_error"))
    client = connect(start_proxy(faults))
    assert client.generate("auto", keep_alive="5m").done_reason == "load"
    assert client.chat("auto", messages=[]).done_reason == "load"
    assert faults.asked == dict.fromkeys(PROVIDERS, 0)


def test_what_comes_late_is_raised_behind_what_came_before(start_proxy):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    client = connect(start_proxy(faults))
    for _ in PROVIDERS:
        came = []
        # The line with the error, or the connection that breaks behind it.
        with pytest.raises((ollama.ResponseError, httpx.HTTPError)):
            for part in client.chat("auto", [user("Hi")], stream=True):
                assert not part.done
                came.append(part.message.content)
                # The answer goes on when its beginning is here.
                if len(came) == 1:
                    faults.go_on.release()
        assert "".join(came).startswith("One, ")
    assert faults.asked == dict.fromkeys(PROVIDERS, 1), "what has begun is not asked for again"


@pytest.mark.parametrize(("fault", "status"), [("rate_limited", 429), ("server_error", 502), ("bad_request", 400)])
def test_errors_have_their_status_and_cost_few_calls(start_proxy, fault, status):
    models = {"GROQ_MODEL": "openai/gpt-oss-20b", "CEREBRAS_MODEL": "gpt-oss-120b", "GEMINI_MODEL": "gemini-3.8-flash"}
    faults = Faults(**dict.fromkeys(PROVIDERS, fault))
    origin = start_proxy(faults, **models, MAX_WAIT_MS="0")
    with pytest.raises(ollama.ResponseError) as caught:
        parts(origin, "whole", messages=[user("Hi")])
    assert caught.value.status_code == status
    assert all(calls == 1 for calls in faults.asked.values()), faults.asked


def test_what_there_is_not_is_told(proxy):
    client = connect(proxy)
    for call in [lambda: client.pull("llama3.2"), lambda: client.delete("auto"), lambda: client.embed("auto", "Hi")]:
        with pytest.raises(ollama.ResponseError) as caught:
            call()
        assert caught.value.status_code == 501 and "here" in caught.value.error
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("nobody-9", [user("Hi")])
    assert caught.value.status_code == 404


def test_a_wrong_key_is_refused(start_proxy):
    with pytest.raises(ollama.ResponseError) as caught:
        parts(start_proxy(PROXY_API_KEY="another"), "whole", messages=[user("Hi")])
    assert caught.value.status_code == 401
    assert parts(start_proxy(PROXY_API_KEY="a-key"), "whole", messages=[user("Hi")])
