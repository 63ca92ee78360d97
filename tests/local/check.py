"""What a client of the proxy gets from llama.cpp's server. See `run`."""

import json
import socket
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support import PATIENCE_SECONDS, QUESTION, Proxy, Server, calling, check, fetch, text_of, wait_for

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


# What is checked with one server and one proxy that both run.


def every_way_of_asking_gives_the_same_text(server, proxy):
    body = {"messages": QUESTION, "temperature": 0, "max_tokens": 12}
    direct = [fetch(f"{server.url}/v1/chat/completions", body).json for _ in range(2)][1]
    text = direct["choices"][0]["message"]["content"]
    *events, last = proxy.chat().events
    assert text and "".join(event["content"] for event in events) == text, (text, events)
    usage = {name: direct["usage"][name] for name in ["prompt_tokens", "completion_tokens", "total_tokens"]}
    ending = {"content": "", "finish_reason": "length", "provider": "LlamaCpp", "model": "smol", "usage": usage}
    assert last == ending, last
    assert proxy.chat(stream=False).json == {**ending, "content": text}
    assert proxy.chat(headers={"accept": "text/plain"}).text == text
    whole = proxy.complete().json
    assert whole["choices"][0]["message"]["content"] == text and whole["model"] == "llamacpp/smol", whole
    streamed = proxy.complete(stream=True, stream_options={"include_usage": True}).events
    assert text_of(streamed) == text, streamed
    assert streamed[-2]["choices"][0]["finish_reason"] == "length", streamed
    assert streamed[-1]["choices"] == [] and streamed[-1]["usage"]["total_tokens"] == usage["total_tokens"], streamed


def an_answer_that_ends_by_itself_says_stop(_, proxy):
    messages = [*calling({})[:4], {"role": "user", "content": "Repeat:\n<i>plums</i>"}]
    reply = proxy.complete(messages, max_tokens=60).json["choices"][0]
    assert (reply["finish_reason"], reply["message"]["content"]) == ("stop", "<i>plums</i>"), reply


def a_stop_word_ends_the_answer(_, proxy):
    messages = [*calling({})[:4], {"role": "user", "content": "Repeat:\n<i>plums</i>"}]
    reply = proxy.complete(messages, max_tokens=60, stop=["</i>"]).json["choices"][0]
    assert (reply["finish_reason"], reply["message"]["content"]) == ("stop", "<i>plums"), reply


def tools_are_called_and_their_results_are_taken(_, proxy):
    asked = calling({"city": "Paris"})
    reply = proxy.complete(asked, tools=[TOOL], max_tokens=60).json["choices"][0]
    (call,) = reply["message"]["tool_calls"]
    assert (reply["finish_reason"], call["function"]["name"]) == ("tool_calls", "get_weather"), reply
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}, call
    events = proxy.complete(asked, tools=[TOOL], max_tokens=60, stream=True).events
    pieces = [it for event in events for it in event["choices"][0]["delta"].get("tool_calls") or []]
    assert [piece["function"]["name"] for piece in pieces if piece.get("id")] == ["get_weather"], events
    assert json.loads("".join(piece["function"].get("arguments", "") for piece in pieces)) == {"city": "Paris"}
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls", events
    turn = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    turn.append({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})
    reply = proxy.complete([*asked, *turn], tools=[TOOL])
    assert reply.status == 200 and reply.json["choices"][0]["message"]["content"], reply


def thoughts_are_told_apart_from_the_answer(server, proxy):
    messages = [*calling({})[:4], {"role": "user", "content": "Repeat:\n<note>\nAda\n</note>\nYes."}]
    messages.append({"role": "assistant", "content": "<note>\nAda\n</note>\nYes."})
    messages.append({"role": "user", "content": "Repeat:\n<think>\nplums\n</think>\nfigs"})
    body = {"messages": messages, "temperature": 0, "max_tokens": 40}
    direct = [fetch(f"{server.url}/v1/chat/completions", body).json for _ in range(2)][1]["choices"][0]["message"]
    assert direct["content"] and direct["reasoning_content"], direct
    message = proxy.complete(**body).json["choices"][0]["message"]
    for name in ["content", "reasoning_content"]:
        assert message[name] == direct[name], (message, direct)
    events = proxy.complete(**body, stream=True).events
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == direct["reasoning_content"], events
    assert text_of(events) == direct["content"] == proxy.chat(**body, stream=False).json["content"], events


def json_is_made_to_order(_, proxy):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}}
    for stream in [False, True]:
        reply = proxy.complete(response_format=form, max_tokens=60, stream=stream)
        text = text_of(reply.events) if stream else reply.json["choices"][0]["message"]["content"]
        assert isinstance(json.loads(text)["ok"], bool), reply
    reply = proxy.complete(response_format={"type": "json_object"})
    assert reply.json["choices"][0]["message"]["content"].lstrip().startswith("{"), reply
    bad = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {"type": "nonsense"}}}
    reply = proxy.complete(response_format=bad)
    assert reply.status == 400 and "unrecognized type nonsense" in reply.json["error"]["message"], reply


def all_fields_are_taken(_, proxy):
    fields = {"top_p": 0.5, "seed": 1, "stop": ["@"], "frequency_penalty": 0.1, "presence_penalty": 0.1, "n": 1}
    reply = proxy.complete(**fields, user="somebody", reasoning_effort="low", parallel_tool_calls=True)
    assert reply.status == 200, reply
    assert reply.headers["x-ignored-fields"] == "user, reasoning_effort", reply


def a_prompt_that_is_too_long_is_the_requests_fault(_, proxy):
    messages = [{"role": "user", "content": "word " * 3000}]
    for reply in [proxy.chat(messages), proxy.chat(messages, stream=False)]:
        (attempt,) = reply.json["attempts"]
        assert (reply.status, attempt["reason"]) == (400, "context_too_long"), reply
        assert "exceeds the available context size (1024 tokens)" in reply.json["error"], reply
    for stream in [False, True]:
        reply = proxy.complete(messages, stream=stream)
        assert (reply.status, reply.json["error"]["code"]) == (400, "context_length_exceeded"), reply
    assert proxy.chat().status == 200


def a_picture_that_the_model_cannot_see_is_the_requests_fault(_, proxy):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}]
    # As often as would put a provider that fails to rest.
    for _ in range(4):
        reply = proxy.complete(messages)
        (attempt,) = reply.json["error"]["attempts"]
        assert (reply.status, attempt["reason"]) == (400, "bad_request"), reply
        assert "image input is not supported" in reply.json["error"]["message"], reply
    report = fetch(f"{proxy.url}/providers").json["providers"]
    (model,) = next(it for it in report if it["name"] == "LlamaCpp")["models"]
    assert model["state"] == "ready", model


def a_name_that_the_server_does_not_list_is_unknown(_, proxy):
    for name in ["llamacpp/nothing", "nothing"]:
        reply = proxy.complete(model=name)
        assert (reply.status, reply.json["error"]["code"]) == (404, "model_not_found"), reply
        assert "llamacpp/smol" in reply.json["error"]["message"], reply
    for name in ["auto", "llamacpp", "llamacpp/smol", "smol"]:
        assert proxy.complete(model=name).json["model"] == "llamacpp/smol", name


def requests_wait_for_each_other(_, proxy):
    replies = []
    clients = [threading.Thread(target=lambda: replies.append(proxy.chat().status)) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert replies == [200] * 4, replies


def a_client_that_leaves_ends_the_work(server, proxy):
    host, port = proxy.url.removeprefix("http://").split(":")
    body = json.dumps({"messages": QUESTION, "temperature": 0, "max_tokens": 900})
    head = f"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as client:
        client.sendall(f"{head}\r\n\r\n{body}".encode())
        received = b""
        while b"content" not in received.partition(b"\r\n\r\n")[2]:
            received += client.recv(4096)
    wait_for("the end of the work", lambda: not server.is_busy())
    # Had it gone on, it would have written all of them.
    assert server.tokens_of_last_work() < 800


def check_knows_the_server(server, _):
    code, told = check(server)
    assert code == 0 and "LlamaCpp, no key: asked without a key, uses smol" in told, (code, told)


WITH_BOTH = [
    every_way_of_asking_gives_the_same_text,
    an_answer_that_ends_by_itself_says_stop,
    a_stop_word_ends_the_answer,
    tools_are_called_and_their_results_are_taken,
    thoughts_are_told_apart_from_the_answer,
    json_is_made_to_order,
    all_fields_are_taken,
    a_prompt_that_is_too_long_is_the_requests_fault,
    a_picture_that_the_model_cannot_see_is_the_requests_fault,
    a_name_that_the_server_does_not_list_is_unknown,
    requests_wait_for_each_other,
    a_client_that_leaves_ends_the_work,
    check_knows_the_server,
]


# What starts its own.


def models_that_do_not_chat_are_filtered(directory):
    with Server(directory, alias="nomic-embed-text") as server, Proxy(directory, server) as proxy:
        code, told = check(server)
        assert code == 1 and "nomic" not in told, (code, told)
        assert proxy.chat().status == 503
        assert not any("embed" in model for model in proxy.models())
        assert proxy.complete(model="llamacpp/nomic-embed-text").status == 404


def a_model_without_an_alias_is_known_by_its_path(directory):
    with Server(directory) as server, Proxy(directory, server) as proxy:
        path = fetch(f"{server.url}/v1/models").json["data"][0]["id"]
        assert path.startswith("/") and path.endswith(".gguf"), path
        proxy.knows_models()
        assert f"llamacpp/{path}" in proxy.models()
        for name in [path, f"llamacpp/{path}", "auto"]:
            reply = proxy.complete(model=name)
            assert reply.status == 200 and reply.json["model"] == f"llamacpp/{path}", reply
        quoted = urllib.parse.quote(f"llamacpp/{path}", safe="")
        assert fetch(f"{proxy.url}/v1/models/{quoted}").json["id"] == f"llamacpp/{path}"
        assert proxy.chat().headers["x-model"] == path
        assert f"uses {path}" in check(server)[1]


def a_key_is_sent_and_a_wrong_one_is_told(directory):
    with Server(directory, alias="smol", key="right") as server:
        with Proxy(directory, server, LLAMACPP_API_KEY="right") as proxy:
            assert proxy.knows_models().chat().status == 200
        assert check(server, LLAMACPP_API_KEY="right")[0] == 0
        code, told = check(server, LLAMACPP_API_KEY="wrong")
        assert code == 1 and "refuse" in told, (code, told)
        with Proxy(directory, server, LLAMACPP_API_KEY="wrong", LLAMACPP_MODEL="smol") as proxy:
            reply = proxy.chat()
            (attempt,) = reply.json["attempts"]
            assert (reply.status, attempt["reason"], attempt["status"]) == (502, "bad_key", 401), reply


def a_server_that_stops_is_used_again_when_it_is_back(directory):
    with Server(directory, alias="smol") as server, Proxy(directory, server) as proxy:
        assert proxy.knows_models().chat().status == 200
        server.__exit__()
        assert check(server)[0] == 1
        reply = proxy.chat()
        (attempt,) = reply.json["attempts"]
        assert (reply.status, attempt["reason"]) == (502, "connect_failed"), reply
        server.__enter__()
        wait_for("an answer", lambda: proxy.chat().status == 200)
        assert "WARN: LlamaCpp" not in proxy.told(), proxy.told()


def a_server_that_starts_later_is_found(directory):
    server = Server(directory, alias="smol")
    with Proxy(directory, server) as proxy:
        assert proxy.chat().status in (502, 503)
        with server:
            wait_for("an answer", lambda: proxy.chat().status == 200)


def a_server_that_loads_its_model_is_waited_for(directory):
    """How long it loads is not ours to say, so a start in which nobody has asked meanwhile is tried again."""
    server = Server(directory, alias="smol")
    with Proxy(directory, server, LLAMACPP_MODEL="smol") as proxy:
        for _ in range(6):
            server.begin()
            try:
                loading = wait_for("the port", lambda: fetch(f"{server.url}/v1/models"))
                reply = proxy.chat()
            finally:
                server.__exit__()
            if loading.status == 503 and "overloaded" in (reply.headers["x-attempts"] or ""):
                break
            # What rests because the port was closed is over.
            wait_for("the end of a rest", lambda: is_ready(proxy))
        error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
        assert loading.status == 503 and loading.json == {"error": error}, loading
        attempts = reply.headers["x-attempts"].split(", ")
        assert reply.status == 200 and set(attempts[:-1]) == {"LlamaCpp:overloaded"}, reply
        assert attempts[-1] == "LlamaCpp:ok", reply


def is_ready(proxy):
    report = fetch(f"{proxy.url}/providers").json["providers"]
    return all(it["state"] == "ready" for it in next(it for it in report if it["name"] == "LlamaCpp")["models"])


def an_answer_that_breaks_off_is_never_complete(directory):
    with Server(directory, alias="smol") as server, Proxy(directory, server) as proxy:
        proxy.knows_models()
        body = json.dumps({"messages": QUESTION, "temperature": 0, "max_tokens": 900}).encode()
        request = urllib.request.Request(f"{proxy.url}/chat", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            first = response.readline()
            server.__exit__()
            rest = response.read().decode()
        assert json.loads(first.removeprefix(b"data: "))["content"], first
        assert "[DONE]" not in rest and '"error"' in rest.splitlines()[-2], rest


class FirstTier(BaseHTTPRequestHandler):
    """Groq for as long as it has quota: enough of it to be asked first."""

    has_quota = True
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, "application/json", {"object": "list", "data": [{"id": "openai/gpt-oss-20b"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if not FirstTier.has_quota:
            return self.answer(429, "application/json", {"error": {"message": "Rate limit reached"}}, "3600")
        choice = {"index": 0, "delta": {"content": "I am Groq."}, "finish_reason": "stop"}
        return self.answer(200, "text/event-stream", {"id": "1", "choices": [choice]})

    def answer(self, status, kind, body, retry_after=None):
        text = json.dumps(body)
        data = (f"data: {text}\n\ndata: [DONE]\n\n" if "stream" in kind else text).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def a_server_of_ones_own_is_asked_when_nobody_else_can_serve(directory):
    groq = ThreadingHTTPServer(("127.0.0.1", 0), FirstTier)
    threading.Thread(target=groq.serve_forever, daemon=True).start()
    first = {"GROQ_BASE_URL": f"http://127.0.0.1:{groq.server_port}", "GROQ_API_KEY": "key"}
    first["GROQ_MODEL"] = "openai/gpt-oss-20b"
    with Server(directory, alias="smol") as server, Proxy(directory, server, **first) as proxy:
        proxy.knows_models()
        wait_for("the list", lambda: "llamacpp/smol" in proxy.models())
        for _ in range(3):
            assert proxy.chat(stream=False).json["content"] == "I am Groq."
        FirstTier.has_quota = False
        for trail in ["Groq:rate_limited, LlamaCpp:ok", "LlamaCpp:ok"]:
            reply = proxy.chat()
            assert (reply.status, reply.headers["x-provider"]) == (200, "LlamaCpp"), reply
            assert reply.headers["x-attempts"].endswith(trail), reply
    groq.shutdown()
    groq.server_close()


ALONE = [
    models_that_do_not_chat_are_filtered,
    a_model_without_an_alias_is_known_by_its_path,
    a_key_is_sent_and_a_wrong_one_is_told,
    a_server_that_stops_is_used_again_when_it_is_back,
    a_server_that_starts_later_is_found,
    a_server_that_loads_its_model_is_waited_for,
    an_answer_that_breaks_off_is_never_complete,
    a_server_of_ones_own_is_asked_when_nobody_else_can_serve,
]


def attempt(test, *arguments):
    begin = time.monotonic()
    try:
        test(*arguments)
    except Exception as error:  # All others are tried, too.
        print(f"FAILED  {test.__name__}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"ok      {test.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
    return True


def main():
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        with Server(directory, alias="smol") as server, Proxy(directory, server) as proxy:
            proxy.knows_models()
            results = [attempt(test, server, proxy) for test in WITH_BOTH]
        results += [attempt(test, directory) for test in ALONE]
    failed = results.count(False)
    print(f"{results.count(True)} passed, {failed} failed")
    sys.exit(failed > 0)


main()
