"""What is built on OpenAI's SDK works over the proxy: LangChain and Pydantic AI."""

import asyncio

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from support import INSTANCE, PROVIDERS, Faults, connect, echo


class Forecast(BaseModel):
    """The weather."""

    city: str
    days: int = Field(ge=3)


FORECAST = Forecast(**INSTANCE)


def weather(city: str, days: int) -> str:
    """Tells the weather."""
    return f"{days} days of sun in {city}"


# The little model of the simulator fills in the least that fits.
SUNNY = "1 days of sun in text"


def told(provider, result):
    """What the simulated model of a provider says to what a tool has said; Google has it as an object."""
    return f'Tool said: {{"result":"{result}"}}' if provider == "Gemini" else f"Tool said: {result}"


def who(trails):
    return [trail[-1].split(":")[0] for trail in trails]


@pytest.fixture
def langchain(rotation):
    """A model, the heads of its answers, and who gives them in turn."""
    origin, trails = rotation
    heads = []
    client = openai.DefaultHttpxClient(event_hooks={"response": [heads.append]})
    model = ChatOpenAI(model="auto", base_url=f"{origin}/v1", api_key="a-key", max_retries=0, http_client=client)
    return model, heads, who(trails)


def answered_by(heads):
    return [head.headers["x-provider"] for head in heads]


def test_langchain_invokes_and_streams(langchain):
    model, heads, providers = langchain
    for turn, provider in enumerate(providers):
        answer = model.invoke(f"Hi {turn}")
        assert answer.content == echo(provider, f"Hi {turn}")
        assert answer.response_metadata["finish_reason"] == "stop"
        assert answer.usage_metadata["total_tokens"] > 0
    chunks = [list(model.stream("Hi")) for _ in providers]
    assert ["".join(chunk.content for chunk in answer) for answer in chunks] == [
        echo(provider, "Hi") for provider in answered_by(heads)[3:]
    ]
    assert all(len(answer) > 5 for answer in chunks)
    assert answered_by(heads)[:3] == providers


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_langchain_calls_tools_and_gives_their_results_to_the_next(langchain, is_stream):
    model, heads, providers = langchain
    with_tools = model.bind_tools([tool(weather)])
    for _ in providers:
        messages = [HumanMessage("weather")]
        if is_stream:
            first, *others = with_tools.stream(messages)
            call = sum(others, start=first)
        else:
            call = with_tools.invoke(messages)
        [wanted] = call.tool_calls
        assert (wanted["name"], wanted["args"]) == ("weather", {"city": "text", "days": 1})
        messages += [call, ToolMessage(weather(**wanted["args"]), tool_call_id=wanted["id"])]
        answer = with_tools.invoke(messages)
        assert answer.content == told(answered_by(heads)[-1], SUNNY)
    assert set(answered_by(heads)) == set(providers)


@pytest.mark.parametrize("method", ["function_calling", "json_mode", "json_schema"])
def test_langchain_structures_answers(langchain, method):
    model, heads, providers = langchain
    if method == "json_mode":
        # Nobody but the question says what the object looks like.
        forecast = model.with_structured_output(None, method=method)
        expected = {"answer": "JSON"}
    else:
        forecast = model.with_structured_output(Forecast, method=method)
        expected = FORECAST
    assert [forecast.invoke("JSON") for _ in providers] == [expected] * len(providers)
    assert answered_by(heads) == providers


def test_langchain_raises_what_comes_late(start_proxy):
    faults = Faults(stops=True, **dict.fromkeys(PROVIDERS, "late_error_event"))
    model = ChatOpenAI(model="auto", base_url=f"{start_proxy(faults)}/v1", api_key="a-key", max_retries=0)
    for provider in PROVIDERS:
        text = ""
        with pytest.raises(openai.APIError, match=provider):
            for chunk in model.stream("Hi"):
                text += chunk.content
                if text == "One, ":
                    faults.go_on.release()
        assert text == "One, two, "


def agent(origin, heads, **options):
    client = connect(openai, "OpenAI", f"{origin}/v1", heads, is_async=True)
    return Agent(OpenAIChatModel("auto", provider=OpenAIProvider(openai_client=client)), **options)


def run(question, origin, heads, **options):
    async def ask():
        return await agent(origin, heads, **options).run(question)

    return asyncio.run(ask()).output


def test_pydantic_ai_runs_an_agent_with_a_tool(rotation):
    origin, trails = rotation
    heads = []
    for _ in trails:
        # The call is one's, the answer to its result another's.
        output = run("weather", origin, heads, tools=[weather])
        assert output == told(answered_by(heads)[-1], SUNNY)
    assert answered_by(heads)[:3] == who(trails)
    assert len(heads) == 6


class Said(BaseModel):
    """All that the little model says in JSON if it is given no schema."""

    answer: str


@pytest.mark.parametrize(
    ("output_type", "expected"),
    [
        (ToolOutput(Forecast), FORECAST),
        (NativeOutput(Forecast), FORECAST),
        (PromptedOutput(Said), Said(answer="Hi")),
    ],
    ids=["as a tool", "after a schema", "as JSON"],
)
def test_pydantic_ai_structures_answers(rotation, output_type, expected):
    origin, trails = rotation
    heads = []
    for _ in trails:
        assert run("Hi", origin, heads, output_type=output_type) == expected
    assert answered_by(heads) == who(trails)


def test_pydantic_ai_runs_a_tool_and_structures_the_answer(rotation):
    origin, _ = rotation
    heads = []
    for _ in range(3):
        assert run("weather", origin, heads, tools=[weather], output_type=NativeOutput(Forecast)) == FORECAST
    # Groq takes no schema beside tools.
    assert set(answered_by(heads)) <= {"Cerebras", "Gemini"}


def test_pydantic_ai_streams(rotation):
    origin, trails = rotation
    heads = []

    async def ask():
        async with agent(origin, heads, tools=[weather]).run_stream("weather") as answer:
            return [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]

    for _ in trails:
        pieces = asyncio.run(ask())
        assert "".join(pieces) == told(answered_by(heads)[-1], SUNNY)
        assert len(pieces) > 2
    assert answered_by(heads)[:3] == who(trails)


def test_pydantic_ai_says_what_went_wrong(start_proxy):
    origin = start_proxy(Faults(**dict.fromkeys(PROVIDERS, "rate_limited")))
    with pytest.raises(ModelHTTPError) as caught:
        run("Hi", origin, [])
    assert caught.value.status_code == 429
    assert [it["provider"] for it in caught.value.body["attempts"]] == PROVIDERS
