//! Answers that clients go on from.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, Simulator, Trouble};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{Stream, pins, question, request, respond, sent, with};
use crate::support::{Binary, RawClient, Reply, TestProxy, ask_at, http_client, within_patience};

async fn ask_about(
    proxy: &TestProxy,
    method: reqwest::Method,
    path: &str,
    headers: &[(&str, &str)],
) -> anyhow::Result<(u16, Value)> {
    let mut asked = http_client()?.request(method, proxy.url(&format!("/v1/responses/{path}")));
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    let response = within_patience("an answer", asked.send()).await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_slice(&response.bytes().await?)?))
}

async fn get(proxy: &TestProxy, path: &str) -> anyhow::Result<(u16, Value)> {
    ask_about(proxy, reqwest::Method::GET, path, &[]).await
}

fn id(response: &Value) -> &str {
    response["id"].as_str().expect("an id")
}

/// That the answer is not there, told so that clients send the whole conversation.
fn assert_unknown(reply: &Reply) {
    assert_eq!(reply.status, 400, "{}", reply.text());
    let error = &reply.json()["error"];
    assert_eq!(error["code"], "previous_response_not_found");
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("invalid_request_error"), &json!("previous_response_id"))
    );
}

fn after(response: &Value, text: &str) -> Value {
    with(request("auto", json!(text)), json!({"previous_response_id": id(response)}))
}

#[tokio::test]
async fn n40_a_conversation_goes_on_from_an_answer_as_soon_as_its_last_event_is_there() -> anyhow::Result<()>
{
    let proxy = TestProxy::core().await?;
    for (provider, pin) in pins() {
        for stream in [true, false] {
            let first = with(
                request(&pin, json!("First question")),
                json!({"stream": stream, "instructions": "OLD"}),
            );
            let reply = respond(&proxy, &first).await?;
            let first = if stream { Stream::read(&reply).last } else { reply.json() };
            let second = with(after(&first, "Second question"), json!({"model": pin}));
            let second = respond(&proxy, &second).await?.json();
            assert_eq!(second["previous_response_id"], first["id"]);
            let third = with(after(&second, "Third question"), json!({"model": pin}));
            assert_eq!(respond(&proxy, &third).await?.status, 200);
            let sent = sent(&proxy, provider);
            let text = sent.to_string();
            let said = [
                "First question",
                "You said: First",
                "Second question",
                "You said: Second",
                "Third question",
            ];
            let places =
                said.map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}")));
            assert!(places.is_sorted(), "{text}");
            assert!(!text.contains("OLD"), "instructions are for one answer");
        }
    }
    Ok(())
}

#[tokio::test]
async fn n40_calls_are_remembered_with_what_providers_want_back() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let tools =
        json!({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "exec"}]}]});
    for (provider, pin) in pins() {
        proxy.all(&Behaviour::calling([("n__exec", r#"{"input":"ls"}"#)]));
        let first = respond(&proxy, &with(question(&pin), tools.clone())).await?.json();
        let call = first["output"][0].clone();
        assert_eq!(
            (&call["namespace"], &call["name"], &call["input"]),
            (&json!("n"), &json!("exec"), &json!("ls"))
        );
        proxy.all(&Behaviour::answer(["Fine"]));
        let output =
            json!([{"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "a file"}]);
        let fields = json!({"model": pin, "previous_response_id": id(&first)});
        let reply = respond(&proxy, &with(with(request(&pin, output), tools.clone()), fields)).await?;
        assert_eq!(reply.status, 200, "{provider:?}: {}", reply.text());
        let sent = sent(&proxy, provider).to_string();
        assert!(sent.contains("a file") && sent.contains("n__exec"), "{sent}");
    }
    Ok(())
}

#[tokio::test]
async fn n40_another_clients_answers_are_unknown() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("PROXY_API_KEY", "one,two").start().await?;
    let (one, two) = ([("authorization", "Bearer one")], [("authorization", "Bearer two")]);
    let first = ask_at(&proxy, "/v1/responses", &question("auto"), &one).await?.json();
    assert_unknown(&ask_at(&proxy, "/v1/responses", &after(&first, "And?"), &two).await?);
    for path in [id(&first).to_owned(), format!("{}/input_items", id(&first))] {
        assert_eq!(ask_about(&proxy, reqwest::Method::GET, &path, &two).await?.0, 404);
    }
    assert_eq!(ask_about(&proxy, reqwest::Method::DELETE, id(&first), &two).await?.0, 404);
    let other_header = [("x-api-key", "one")];
    assert_eq!(ask_at(&proxy, "/v1/responses", &after(&first, "And?"), &other_header).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn n40_what_is_forgotten_is_told_and_never_answered_without_memory() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let first = respond(&proxy, &question("auto")).await?.json();
    let calls = proxy.upstream_calls();
    proxy.clock.advance(Duration::from_secs(3_601));
    assert_unknown(&respond(&proxy, &after(&first, "And?")).await?);
    assert_eq!(get(&proxy, id(&first)).await?.0, 404);
    assert_eq!(proxy.upstream_calls(), calls, "nobody was asked");

    let off = TestProxy::builder().core().with("RESPONSES_MEMORY_BYTES", 0).start().await?;
    let first = respond(&off, &question("auto")).await?.json();
    assert_eq!(first["store"], false);
    assert_unknown(&respond(&off, &after(&first, "And?")).await?);

    let tight = TestProxy::builder().core().with("RESPONSES_MEMORY_BYTES", 8_000).start().await?;
    let first = respond(&tight, &question("auto")).await?.json();
    let second = respond(&tight, &question("auto")).await?.json();
    // Who was used last stays.
    assert_eq!(get(&tight, id(&first)).await?.0, 200);
    let large = respond(&tight, &request("auto", json!("x".repeat(2_000)))).await?.json();
    assert_eq!(get(&tight, id(&large)).await?.0, 200);
    assert_eq!((get(&tight, id(&first)).await?.0, get(&tight, id(&second)).await?.0), (200, 404));
    Ok(())
}

#[tokio::test]
async fn what_is_not_to_be_stored_or_did_not_succeed_is_not_stored() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let reply = respond(&proxy, &with(question("auto"), json!({"store": false, "stream": true}))).await?;
    let first = Stream::read(&reply).last;
    assert_eq!(first["store"], false);
    assert_unknown(&respond(&proxy, &after(&first, "And?")).await?);

    proxy.all(&Behaviour::answer(["Fine"]));
    let large = json!("x".repeat(1_100_000));
    let in_parts = json!([{"role": "user", "content": [{"type": "input_text", "text": large}]}]);
    for large in [large, in_parts] {
        let first = respond(&proxy, &request("gemini", large)).await?.json();
        assert_eq!(first["store"], false, "it is too large, and says so");
        assert_unknown(&respond(&proxy, &after(&first, "And?")).await?);
    }

    proxy.all(
        &Behaviour::answer(["One, ", "two"]).with(Fault::ErrorEvent(After::Text(1), Trouble::Overloaded)),
    );
    let failed = Stream::read(&respond(&proxy, &with(question("auto"), json!({"stream": true}))).await?);
    assert_eq!(failed.end, "response.failed");
    assert_unknown(&respond(&proxy, &after(&failed.last, "And?")).await?);
    Ok(())
}

#[tokio::test]
async fn a_chain_may_be_long_and_ends() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().only([Provider::GEMINI]).start().await?;
    proxy.all(&Behaviour::answer(["."]));
    let mut last = respond(&proxy, &question("auto")).await?.json();
    for link in 1..256 {
        last = respond(&proxy, &after(&last, "And?")).await?.json();
        assert_eq!(last["store"], true, "link {link}");
    }
    let beyond = respond(&proxy, &after(&last, "And?")).await?.json();
    assert_eq!(beyond["store"], false, "{beyond}");
    assert_unknown(&respond(&proxy, &after(&beyond, "And?")).await?);
    Ok(())
}

#[tokio::test]
async fn a_stored_answer_is_shown_and_forgotten() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let input =
        json!([{"role": "user", "content": "One"}, {"id": "msg_mine", "role": "user", "content": "Two"}]);
    let whole = respond(&proxy, &request("auto", input)).await?.json();
    assert_eq!(get(&proxy, id(&whole)).await?, (200, whole.clone()));
    assert_eq!(get(&proxy, &format!("{}?stream=true", id(&whole))).await?.0, 400);

    let (status, items) = get(&proxy, &format!("{}/input_items?order=asc", id(&whole))).await?;
    assert_eq!((status, &items["object"], &items["has_more"]), (200, &json!("list"), &json!(false)));
    let content = json!([{"type": "input_text", "text": "One"}]);
    assert_eq!((&items["data"][0]["content"], &items["data"][1]["id"]), (&content, &json!("msg_mine")));
    assert_eq!((&items["first_id"], &items["last_id"]), (&items["data"][0]["id"], &json!("msg_mine")));
    let (_, newest_first) = get(&proxy, &format!("{}/input_items", id(&whole))).await?;
    assert_eq!(newest_first["data"][0]["id"], "msg_mine");

    let cancel = format!("{}/cancel", id(&whole));
    assert_eq!(ask_about(&proxy, reqwest::Method::POST, &cancel, &[]).await?.0, 400);
    assert_eq!(ask_about(&proxy, reqwest::Method::POST, "resp_0/cancel", &[]).await?.0, 404);

    let deleted = ask_about(&proxy, reqwest::Method::DELETE, id(&whole), &[]).await?;
    assert_eq!(deleted, (200, json!({"id": whole["id"], "object": "response", "deleted": true})));
    for (method, path) in
        [(reqwest::Method::GET, ""), (reqwest::Method::DELETE, ""), (reqwest::Method::GET, "/input_items")]
    {
        let (status, error) = ask_about(&proxy, method, &format!("{}{path}", id(&whole)), &[]).await?;
        assert_eq!((status, &error["error"]["type"]), (404, &json!("invalid_request_error")), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_item_may_stand_for_one_that_is_stored() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let first = respond(&proxy, &request("groq", json!("First question"))).await?.json();
    let refer = |id: &Value| json!({"type": "item_reference", "id": id});
    let input = json!([{"role": "user", "content": "Before"}, refer(&first["output"][0]["id"]),
        refer(&json!("rs_gone")), {"role": "user", "content": "Behind"}]);
    let reply = respond(&proxy, &request("groq", input)).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let messages = sent(&proxy, Provider::GROQ)["messages"].clone();
    assert_eq!(messages[1]["role"], "assistant");
    assert!(messages[1].to_string().contains("You said: First question"), "{messages}");
    let gone = json!([{"role": "user", "content": "Before"}, refer(&json!("msg_gone"))]);
    let reply = respond(&proxy, &request("groq", gone)).await?;
    assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some("input[1].id")));
    Ok(())
}

/// Else a short request could mean any amount of text.
#[tokio::test]
async fn two_items_never_stand_for_the_same() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let first = respond(&proxy, &question("groq")).await?.json();
    let (_, sent) = get(&proxy, &format!("{}/input_items", id(&first))).await?;
    let calls = proxy.upstream_calls();
    for item in [&first["output"][0], &sent["data"][0]] {
        let reference = json!({"type": "item_reference", "id": item["id"]});
        let twice = json!([reference, {"role": "user", "content": "And?"}, reference]);
        for path in ["/v1/responses", "/v1/responses/input_tokens"] {
            let reply = ask_at(&proxy, path, &request("groq", twice.clone()), &[]).await?;
            let error = reply.json()["error"].clone();
            assert_eq!((reply.status, &error["param"]), (400, &json!("input[2].id")), "{error}");
        }
    }
    assert_eq!(proxy.upstream_calls(), calls);
    Ok(())
}

#[tokio::test]
async fn an_item_that_was_referred_to_is_remembered_when_its_own_answer_is_forgotten() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let first = respond(&proxy, &request("groq", json!("First question"))).await?.json();
    let reference = json!({"type": "item_reference", "id": first["output"][0]["id"]});
    let input = json!([reference, {"role": "user", "content": "Second question"}]);
    let second = respond(&proxy, &request("groq", input)).await?.json();
    assert_eq!(ask_about(&proxy, reqwest::Method::DELETE, id(&first), &[]).await?.0, 200);
    let third = with(after(&second, "Third question"), json!({"model": "groq"}));
    let reply = respond(&proxy, &third).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = sent(&proxy, Provider::GROQ).to_string();
    let said = ["You said: First", "Second question", "You said: ", "Third question"];
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_went_before_takes_memory_as_if_it_was_sent() -> anyhow::Result<()> {
    let builder = TestProxy::builder().core().with("MAX_BODY_MEMORY_BYTES", 1_200_000);
    let proxy = builder.with("BODY_READ_TIMEOUT_MS", 800).start().await?;
    proxy.all(&Behaviour::answer(["Fine"]));
    let long = "x".repeat(600_000);
    let first = respond(&proxy, &request("groq", json!(long))).await?.json();
    assert_eq!(first["store"], true);
    let tells = |reply: &Reply| reply.text().contains("MAX_BODY_MEMORY_BYTES");

    let reply = respond(&proxy, &after(&first, &long)).await?;
    assert!(reply.status == 400 && tells(&reply), "there is never as much: {}", reply.text());

    let next = with(after(&first, "And?"), json!({"model": "groq"}));
    let groq = proxy.provider(Provider::GROQ);
    let calls = groq.request_count();
    groq.then(Behaviour::answer(["x"]).with(Fault::Stall(After::Nothing)));
    let mut holder = Box::pin(respond(&proxy, &next));
    tokio::select! {
        reply = &mut holder => panic!("{}", reply?.text()),
        () = groq.until(|it| it.request_count() > calls) => {}
    }
    for path in ["/v1/responses", "/v1/responses/input_tokens"] {
        let reply = ask_at(&proxy, path, &next, &[]).await?;
        assert!(reply.status == 503 && tells(&reply), "{path}: {}", reply.text());
    }
    assert_eq!(respond(&proxy, &question("cerebras")).await?.status, 200, "others need not wait");
    drop(holder);
    let reply = respond(&proxy, &next).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    Ok(())
}

#[tokio::test]
async fn what_is_to_be_stored_takes_its_room_while_its_answer_is_under_way() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().core().with("RESPONSES_MEMORY_BYTES", 10_000).start().await?;
    proxy.all(&Behaviour::answer(["Fine"]));
    let long = "x".repeat(5_000);
    let ask = request("groq", json!(long));
    let first = respond(&proxy, &ask).await?.json();
    assert_eq!(first["store"], true);

    let groq = proxy.provider(Provider::GROQ);
    let calls = groq.request_count();
    groq.then(Behaviour::answer(["x"]).with(Fault::Stall(After::Nothing)));
    let mut holder = Box::pin(respond(&proxy, &ask));
    tokio::select! {
        reply = &mut holder => panic!("{}", reply?.text()),
        () = groq.until(|it| it.request_count() > calls) => {}
    }
    assert_eq!(get(&proxy, id(&first)).await?.0, 404, "it went for the one that is under way");
    let second = respond(&proxy, &ask).await?;
    assert_eq!((second.status, &second.json()["store"]), (200, &json!(false)));
    drop(holder);
    let stored = async {
        while respond(&proxy, &ask).await?.json()["store"] == false {}
        anyhow::Ok(())
    };
    within_patience("room again", stored).await
}

#[tokio::test]
async fn tokens_of_what_went_before_are_counted() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let first = respond(&proxy, &request("gemini", json!(long))).await?.json();
    let counted = ask_at(&proxy, "/v1/responses/input_tokens", &after(&first, "And?"), &[]).await?.json();
    assert!(counted["input_tokens"].as_u64() > Some(900), "{counted}");
    Ok(())
}

#[tokio::test]
async fn what_was_sent_is_listed_by_pages() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let texts: Vec<String> = (0..45).map(|number| format!("Text {number}")).collect();
    let input: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    let whole = respond(&proxy, &request("groq", json!(input))).await?.json();
    for (order, limit, pages) in
        [("desc", 20, 3), ("asc", 20, 3), ("asc", 100, 1), ("desc", 45, 1), ("asc", 44, 2)]
    {
        let (mut seen, mut after, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let path = format!("{}/input_items?order={order}&limit={limit}{after}", id(&whole));
            let (status, page) = get(&proxy, &path).await?;
            assert_eq!(status, 200, "{page}");
            let items = page["data"].as_array().expect("items");
            assert_eq!(
                (&page["first_id"], &page["last_id"]),
                (&items[0]["id"], &items[items.len() - 1]["id"])
            );
            seen.extend(
                items.iter().map(|item| item["content"][0]["text"].as_str().unwrap_or_default().to_owned()),
            );
            (after, count) = (format!("&after={}", page["last_id"].as_str().expect("an id")), count + 1);
            if page["has_more"] == json!(false) {
                break;
            }
        }
        if order == "desc" {
            seen.reverse();
        }
        assert_eq!((&seen, count), (&texts, pages), "{order} {limit}");
    }
    let (_, page) = get(&proxy, &format!("{}/input_items", id(&whole))).await?;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(20), "as many as OpenAI lists");
    let same = vec![json!({"id": "a", "role": "user", "content": "One"}); 3];
    let twice = respond(&proxy, &request("groq", json!(same))).await?.json();
    let (_, page) = get(&proxy, &format!("{}/input_items?order=asc&limit=1&after=a", id(&twice))).await?;
    assert_eq!(page["has_more"], json!(false), "who pages by itself comes to an end: {page}");
    for wrong in ["limit=0", "limit=101", "limit=x", "after=in_unknown"] {
        let (status, error) = get(&proxy, &format!("{}/input_items?{wrong}", id(&whole))).await?;
        let name = wrong.split('=').next().unwrap_or_default();
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(name), "{wrong}: {status} {error}");
    }
    Ok(())
}

/// Clients that ask for what is stored and do not read it: it is there once, and lists have the memory that bodies have.
#[tokio::test]
async fn what_is_stored_and_not_read_takes_no_more_memory_than_there_is() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    let variables = [("MAX_BODY_MEMORY_BYTES", "40000000"), ("MAX_BODY_BYTES", "20000000")];
    let (binary, address) = Binary::over(&simulator, &variables).await?;
    let mut items = vec![json!({"role": "assistant", "content": "x".repeat(500_000)}); 16];
    items.push(json!({"role": "user", "content": "And?"}));
    let body = request("auto", json!(items)).to_string();
    let head =
        |line: &str| format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    let mut client = RawClient::connect(address).await?;
    let post = format!("{}content-length: {}\r\n\r\n{body}", head("POST /v1/responses"), body.len());
    client.stream.write_all(post.as_bytes()).await?;
    client.read_until("\"id\":\"resp_").await?;
    client.read_until("\",").await?;
    let received = String::from_utf8_lossy(&client.received).into_owned();
    let id = received.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    let before_kib = binary.memory_kib()?;

    for path in [format!("{id}/input_items"), id.to_owned()] {
        let mut clients = Vec::new();
        for _ in 0..30 {
            let mut client = RawClient::connect(address).await?;
            let get = format!("{}\r\n", head(&format!("GET /v1/responses/{path}")));
            client.stream.write_all(get.as_bytes()).await?;
            clients.push(client);
        }
        // Lists wait for memory; what is stored does not.
        let answered = if path == id { clients.len() } else { 1 };
        for client in clients.iter_mut().take(answered) {
            client.read_until("200 OK").await?;
        }
        let (mut peak_kib, mut grew) = (0, Instant::now());
        while grew.elapsed() < Duration::from_secs(1) {
            let now_kib = binary.memory_kib()?;
            if now_kib > peak_kib {
                (peak_kib, grew) = (now_kib, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let grown_kib = peak_kib.saturating_sub(before_kib);
        assert!(grown_kib < 80_000, "{path}: {grown_kib} KiB more for 30 readers of 8 MB each");
    }
    Ok(())
}
