"""What the tests of all SDKs share."""

import asyncio
import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

URLS = json.loads(os.environ["SIMULATOR_URLS"])
ERRORS = json.loads((Path(__file__).parents[1] / "errors.json").read_text())

# The rows of ERRORS that are brought about for real; the others are asked for in a header.
REAL_MISTAKES = {
    "wrong key": {"key": "an-invalid-key"},
    "unknown model": {"model": "no-such-model"},
    "unknown field": {"extra_body": {"verbosity": "low"}},
}


def echo(provider, question):
    """What a simulated model says to a question."""
    return f"[simulated {provider}] You said: {question}\nThis answer comes word by word, as a real one would."


def fault(name):
    """The fields of a call that brings about an error."""
    return REAL_MISTAKES.get(name, {"simulate": name})


def includes(whole, part):
    """Whether `whole` has everything that `part` has."""
    match part:
        case dict():
            return isinstance(whole, dict) and all(includes(whole.get(key), part[key]) for key in part)
        case list():
            return isinstance(whole, list) and len(whole) == len(part) and all(map(includes, whole, part))
        case _:
            return whole == part


def drain(start):
    """Yields what an asynchronous generator yields; `start` is called inside the loop."""

    async def step(pieces):
        return await anext(pieces, None)

    with asyncio.Runner() as runner:
        pieces = start()
        while (piece := runner.run(step(pieces))) is not None:
            yield piece


# A picture of one pixel, and what the little model says of it.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SEEN = "I see 1 image(s): image/png"

# The schema of a tool's parameters or of an answer, and the smallest thing that fits.
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
INSTANCE = {"city": "text", "days": 3}


PROVIDERS = ["Groq", "Cerebras", "Gemini"]
KEYS = {"Groq": "GROQ_API_KEY", "Cerebras": "CEREBRAS_API_KEY", "Gemini": "GOOGLE_API_KEY"}
BASE_URLS = {"Groq": "GROQ_BASE_URL", "Cerebras": "CEREBRAS_BASE_URL", "Gemini": "GOOGLE_GEMINI_BASE_URL"}


@contextmanager
def running_proxy(**env):
    """The address of a proxy over the simulated providers; `env` has settings that differ, None for those unset."""
    usual = (
        {"PORT": "0", "STATE_FILE": ""}
        | {KEYS[name]: "a-key" for name in PROVIDERS}
        | {BASE_URLS[name]: URLS[name] for name in PROVIDERS}
    )
    env = {name: value for name, value in {**usual, **env}.items() if value is not None}
    with subprocess.Popen([os.environ["PROXY_BIN"]], env=env, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            started = next(line for line in proxy.stdout if " listening on http:" in line)
            # What is not read would stop it some day.
            threading.Thread(target=proxy.stdout.read, daemon=True).start()
            yield started.split(" listening on ")[1].split()[0]
        finally:
            proxy.kill()


class Faults:
    """Servers before the simulated providers that ask for a misbehaviour in every request they pass on."""

    def __init__(self, stops=False, **names):
        """What each provider does: the name of a misbehaviour, or a list with one for each request, None for none.

        With `stops` an answer stops after its first word until `go_on` is released.
        """
        self.go_on = threading.Semaphore(0 if stops else 10**9)
        self.names = {provider: name if isinstance(name, list) else [name] for provider, name in names.items()}
        self.asked = dict.fromkeys(names, 0)
        self.servers = {}

    def next_of(self, provider):
        """The last one goes on for ever."""
        names = self.names[provider]
        name = names[min(self.asked[provider], len(names) - 1)]
        self.asked[provider] += 1
        return name

    def __enter__(self):
        for provider in self.names:
            server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler(provider))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            self.servers[provider] = server
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    @property
    def env(self):
        """The settings of a proxy that asks here."""
        return {BASE_URLS[name]: f"http://127.0.0.1:{server.server_port}" for name, server in self.servers.items()}

    def handler(faults, provider):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                name = faults.next_of(provider)
                upstream = HTTPConnection(urlsplit(URLS[provider]).netloc)
                upstream.request("POST", self.path, body, {**self.headers, **({"x-simulate": name} if name else {})})
                answer = upstream.getresponse()
                self.send_response_only(answer.status)
                for header, value in answer.getheaders():
                    if header not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(header, value)
                self.end_headers()
                has_begun = False
                for line in answer:
                    self.wfile.write(line)
                    has_begun = has_begun or b"One, " in line
                    # An event ends with an empty line.
                    if has_begun and not line.strip():
                        faults.go_on.acquire(timeout=10)
                        has_begun = False

            def log_message(self, *_):
                pass

        return Handler


def connect(sdk, name, base_url, heads, is_async=False, **options):
    """A client of one of the official SDKs, which are all made alike; the heads of its answers go to `heads`."""

    def see(response):
        # The SDK of Cerebras opens its connection with a question of its own.
        if not response.url.path.endswith("/tcp_warming"):
            heads.append(response)

    async def watch(response):
        see(response)

    http_client = sdk.DefaultAsyncHttpxClient if is_async else sdk.DefaultHttpxClient
    # Strict: what does not fit the SDK's types is an error.
    usual = {"api_key": "a-key", "max_retries": 0, "timeout": 10, "_strict_response_validation": True}
    return getattr(sdk, f"{'Async' if is_async else ''}{name}")(
        base_url=base_url,
        http_client=http_client(event_hooks={"response": [watch if is_async else see]}),
        **{**usual, **options},
    )


# Settings of a proxy, and who answers three requests there in turn.
ROTATIONS = {
    "all are well": ({}, [["Groq:ok"], ["Cerebras:ok"], ["Gemini:ok"]]),
    "Cerebras refuses its key": (
        {"CEREBRAS_API_KEY": "an-invalid-key"},
        [["Groq:ok"], ["Cerebras:bad_key", "Gemini:ok"], ["Groq:ok"]],
    ),
}


def tool(name):
    return {"type": "function", "function": {"name": name, "description": "Weather", "parameters": SCHEMA}}


TOOLS = [tool("get_weather"), tool("get_time")]


def named(name):
    return {"type": "function", "function": {"name": name}}


# What a client asks with these tools on offer, and which of them are called.
CALLS = [
    ({"content": "Hi"}, []),
    ({"content": "get_time"}, ["get_time"]),
    ({"content": "get_time", "tool_choice": "auto"}, ["get_time"]),
    ({"content": "get_time", "tool_choice": "none"}, []),
    ({"content": "Hi", "tool_choice": "required"}, ["get_weather"]),
    ({"content": "Hi", "tool_choice": named("get_time")}, ["get_time"]),
    ({"content": "get_time and get_weather"}, ["get_weather", "get_time"]),
    ({"content": "get_time and get_weather", "parallel_tool_calls": True}, ["get_weather", "get_time"]),
]
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("get_time")]}}
