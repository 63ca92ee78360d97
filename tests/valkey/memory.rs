//! What instances remember together: signatures of calls, and responses that clients go on from.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Behaviour;
use redis::Value as Reply;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::instances::Instances;
use crate::server::Server;
use crate::support::{http_client, within_patience};

const RPM: u64 = 10_000;

/// So many instances that are all connected.
async fn start(count: usize, server: &Server, own: &[(&str, &str)]) -> anyhow::Result<Instances> {
    let before = listening(server).await?;
    let instances = Instances::start(count, Some(server), RPM, own).await?;
    until_listening(server, before + count).await;
    Ok(instances)
}

/// How many wait for news.
async fn listening(server: &Server) -> anyhow::Result<usize> {
    let info: String = redis::from_redis_value(server.tell(&["INFO", "clients"]).await?)?;
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect("it is told");
    Ok(line.parse()?)
}

/// The numbers of the connections that wait for news.
async fn listeners(server: &Server) -> anyhow::Result<Vec<String>> {
    let clients: String = redis::from_redis_value(server.tell(&["CLIENT", "LIST"]).await?)?;
    let listening = clients.lines().filter(|line| line.contains(" cmd=xread "));
    let ids = listening.filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    Ok(ids.map(str::to_owned).collect())
}

async fn until_listening(server: &Server, count: usize) {
    let all = async {
        while listening(server).await.unwrap_or(0) < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_patience("the instances to listen", all).await;
}

/// Asks an instance something, as a client with this key.
async fn ask(
    instances: &Instances,
    number: usize,
    (method, path): (&str, &str),
    body: Option<&Value>,
    key: &str,
) -> anyhow::Result<(u16, Value)> {
    let url = format!("http://{}{path}", instances.all[number].1);
    let mut request = http_client()?.request(method.parse()?, url).bearer_auth(key);
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = within_patience("an answer", request.send()).await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await?))
}

async fn respond(instances: &Instances, number: usize, body: &Value) -> anyhow::Result<(u16, Value)> {
    ask(instances, number, ("POST", "/v1/responses"), Some(body), "").await
}

async fn get(instances: &Instances, number: usize, id: &str) -> anyhow::Result<u16> {
    Ok(ask(instances, number, ("GET", &format!("/v1/responses/{id}")), None, "").await?.0)
}

/// A request that goes on from the response `previous`.
fn after(previous: &str, text: &str) -> Value {
    json!({"model": "auto", "input": text, "previous_response_id": previous})
}

fn id(response: &Value) -> String {
    response["id"].as_str().expect("an id").to_owned()
}

/// A new response of an instance.
async fn given(instances: &Instances, number: usize, text: &str) -> anyhow::Result<String> {
    let (status, response) = respond(instances, number, &json!({"model": "auto", "input": text})).await?;
    anyhow::ensure!(status == 200, "{response}");
    Ok(id(&response))
}

/// What the provider was sent last.
fn sent(instances: &Instances) -> Value {
    instances.simulator.provider(Provider::GEMINI).chats().pop().expect("a call").json()
}

fn assert_unknown((status, answer): &(u16, Value)) {
    assert_eq!((*status, &answer["error"]["code"]), (400, &json!("previous_response_not_found")), "{answer}");
}

/// A call of a tool that an instance has got, as a client keeps it that knows nothing of signatures; and its signature.
async fn called(instances: &Instances, number: usize, question: &Value) -> anyhow::Result<(Value, String)> {
    let body = json!({"model": "gemini", "messages": [question], "tools": [tool()]});
    let (status, answer) = ask(instances, number, ("POST", "/v1/chat/completions"), Some(&body), "").await?;
    anyhow::ensure!(status == 200, "{answer}");
    let mut call = answer["choices"][0]["message"]["tool_calls"][0].clone();
    let extra = call.as_object_mut().expect("a call").remove("extra_content").expect("it is signed");
    let signature = extra["google"]["thought_signature"].as_str().expect("it is signed");
    Ok((call, signature.to_owned()))
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}})
}

/// The signature that the provider is sent when an instance goes on from this call.
async fn signature_sent(
    instances: &Instances,
    number: usize,
    question: &Value,
    call: &Value,
) -> anyhow::Result<String> {
    let assistant = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"});
    let body = json!({"model": "gemini", "messages": [question, assistant, result], "tools": [tool()]});
    let (status, answer) = ask(instances, number, ("POST", "/v1/chat/completions"), Some(&body), "").await?;
    anyhow::ensure!(status == 200, "{answer}");
    let part = &sent(instances)["contents"][1]["parts"][0];
    Ok(part["thoughtSignature"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_call_made_at_one_instance_carries_its_signature_at_all_others() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = start(2, &server, &[]).await?;
    let question = json!({"role": "user", "content": "weather?"});
    let (call, signature) = called(&instances, 0, &question).await?;
    let heard = async {
        while signature_sent(&instances, 1, &question, &call).await? != signature {}
        anyhow::Ok(())
    };
    within_patience("the signature at the other instance", heard).await?;
    // One that comes later knows what was told before.
    instances.add().await?;
    until_listening(&server, 3).await;
    assert_eq!(signature_sent(&instances, 2, &question, &call).await?, signature);
    Ok(())
}

/// A client that answers within a millisecond, as this one does, may be faster than the news, but not as a rule.
#[tokio::test]
async fn turns_that_follow_at_once_at_another_instance_carry_their_signatures() -> anyhow::Result<()> {
    const TURNS: usize = 30;
    let server = Server::start(&[]).await?;
    let instances = start(3, &server, &[]).await?;
    let question = json!({"role": "user", "content": "weather?"});
    let mut carried = 0;
    for turn in 0..TURNS {
        let (call, signature) = called(&instances, turn % 3, &question).await?;
        let sent = signature_sent(&instances, (turn + 1) % 3, &question, &call).await?;
        assert!(sent == signature || sent == "skip_thought_signature_validator", "{sent}");
        carried += usize::from(sent == signature);
    }
    println!("{carried} of {TURNS} immediate turns carried their signature");
    assert!(carried * 2 >= TURNS, "{carried} of {TURNS}");
    Ok(())
}

#[tokio::test]
async fn a_conversation_goes_on_at_any_instance() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(3, &server, &[]).await?;
    let mut last = given(&instances, 0, "Question 0").await?;
    for turn in 1..12 {
        let (status, response) =
            respond(&instances, turn % 3, &after(&last, &format!("Question {turn}"))).await?;
        assert_eq!(status, 200, "turn {turn}: {response}");
        last = id(&response);
        let text = sent(&instances).to_string();
        let places: Option<Vec<usize>> =
            (0..=turn).map(|turn| text.find(&format!("\"Question {turn}\""))).collect();
        assert!(places.as_ref().is_some_and(|places| places.is_sorted()), "turn {turn}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn stored_responses_and_their_items_are_known_at_any_instance() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[]).await?;
    let (_, first) = respond(&instances, 0, &json!({"model": "auto", "input": "Which colour?"})).await?;
    let item = first["output"].as_array().expect("items").last().expect("one")["id"].clone();
    let input = json!([{"type": "item_reference", "id": item}, {"role": "user", "content": "And now?"}]);
    let (status, answer) = respond(&instances, 1, &json!({"model": "auto", "input": input})).await?;
    assert_eq!(status, 200, "{answer}");
    assert!(sent(&instances).to_string().contains("You said: Which colour?"), "{}", sent(&instances));

    let second = given(&instances, 0, "Which size?").await?;
    assert_eq!(get(&instances, 1, &second).await?, 200);
    let third = given(&instances, 0, "Which shape?").await?;
    let path = format!("/v1/responses/{third}/input_items");
    let (status, items) = ask(&instances, 1, ("GET", &path), None, "").await?;
    assert_eq!(status, 200, "{items}");
    assert!(items.to_string().contains("Which shape?"), "{items}");
    Ok(())
}

/// They have answers in common, which are fetched with whichever comes first.
#[tokio::test]
async fn items_of_several_responses_of_a_conversation_are_known_at_any_instance() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[]).await?;
    let (mut items, mut last) = (Vec::new(), None);
    for turn in 0..6 {
        let mut body = json!({"model": "auto", "input": format!("Question {turn}")});
        body["previous_response_id"] = last.map_or(Value::Null, Value::String);
        let (status, response) = respond(&instances, 0, &body).await?;
        assert_eq!(status, 200, "{response}");
        let item = response["output"].as_array().expect("items").last().expect("one")["id"].clone();
        items.push(json!({"type": "item_reference", "id": item}));
        last = Some(id(&response));
    }
    items.push(json!({"role": "user", "content": "And now?"}));
    let (status, answer) = respond(&instances, 1, &json!({"model": "auto", "input": items})).await?;
    assert_eq!(status, 200, "{answer}");
    let text = sent(&instances).to_string();
    assert!((0..6).all(|turn| text.contains(&format!("You said: Question {turn}"))), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_request_with_many_unknown_references_asks_the_server_a_few_times() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(1, &server, &[]).await?;
    let items = (0..32).map(|number| json!({"type": "item_reference", "id": format!("msg_{number:032x}_0")}));
    let items: Vec<Value> = items.collect();
    let before = server.script_calls().await?;
    let (status, answer) = respond(&instances, 0, &json!({"model": "auto", "input": items})).await?;
    assert_eq!(status, 400, "{answer}");
    let calls = server.script_calls().await? - before;
    // Some of them are about quotas.
    assert!(calls < 25, "{calls}");
    Ok(())
}

/// As `docs/several.md` states it.
#[tokio::test]
async fn clients_that_ask_for_unknown_responses_in_a_loop_do_not_load_the_server() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(1, &server, &[]).await?;
    let client = http_client()?;
    let (begun, before) = (Instant::now(), server.script_calls().await?);
    let each = (0..400).map(|number| {
        let url = format!("http://{}/v1/responses/resp_{number:032x}", instances.all[0].1);
        client.get(url).send()
    });
    for response in within_patience("answers", futures::future::join_all(each)).await {
        assert_eq!(response?.status(), 404);
    }
    let calls = server.script_calls().await? - before;
    let most = 100 + begun.elapsed().as_millis() as u64 * 400 / 1000;
    // Some of them are about quotas.
    assert!(calls < most + 50, "{calls} calls, {most} are stated");
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_at_one_instance_is_gone_at_all() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(3, &server, &[]).await?;
    let first = given(&instances, 0, "Forget this").await?;
    assert_eq!(get(&instances, 1, &first).await?, 200, "it is here, too, now");
    let path = format!("/v1/responses/{first}");
    // By one that has never seen it.
    let (status, answer) = ask(&instances, 2, ("DELETE", &path), None, "").await?;
    assert_eq!((status, &answer["deleted"]), (200, &json!(true)), "{answer}");
    for number in [0, 1, 2] {
        let gone = async {
            while get(&instances, number, &first).await? != 404 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        within_patience("the response to be gone", gone).await?;
        assert_unknown(&respond(&instances, number, &after(&first, "And?")).await?);
    }
    let keys: Vec<String> = redis::from_redis_value(server.tell(&["KEYS", "*:answers"]).await?)?;
    assert!(keys.is_empty(), "nothing of it is on the server: {keys:?}");
    Ok(())
}

/// Everything that the server holds, as it lies there.
async fn everything(server: &Server) -> anyhow::Result<Vec<u8>> {
    let keys: Vec<String> = redis::from_redis_value(server.tell(&["KEYS", "*"]).await?)?;
    let mut all = Vec::new();
    for key in keys {
        let Reply::BulkString(dump) = server.tell(&["DUMP", &key]).await? else {
            anyhow::bail!("{key} is gone")
        };
        all.extend(key.into_bytes());
        all.extend(dump);
    }
    Ok(all)
}

#[tokio::test]
async fn the_server_holds_nothing_that_can_be_read() -> anyhow::Result<()> {
    // Nothing is packed, or it could not be found.
    let server = Server::start(&["--rdbcompression", "no"]).await?;
    let own = [("PROXY_API_KEY", "client-key-canary"), ("GOOGLE_API_KEY", "provider-key-canary")];
    let instances = start(2, &server, &own).await?;
    let key = "client-key-canary";
    let first = json!({"model": "auto", "input": "prompt-canary", "metadata": {"a": "metadata-canary"}});
    let (_, first) = ask(&instances, 0, ("POST", "/v1/responses"), Some(&first), key).await?;
    let next = after(&id(&first), "second-canary");
    let (status, second) = ask(&instances, 1, ("POST", "/v1/responses"), Some(&next), key).await?;
    assert_eq!(status, 200, "{second}");
    let body =
        json!({"model": "gemini", "messages": [{"role": "user", "content": "weather?"}], "tools": [tool()]});
    let (_, answer) = ask(&instances, 0, ("POST", "/v1/chat/completions"), Some(&body), key).await?;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    let signature = call["extra_content"]["google"]["thought_signature"].as_str().expect("it is signed");
    assert_eq!(
        ask(&instances, 1, ("GET", &format!("/v1/responses/{}", id(&second))), None, key).await?.0,
        200
    );
    let told = async {
        while everything(&server).await?.windows(5).filter(|it| *it == b":news").count() == 0 {}
        anyhow::Ok(())
    };
    within_patience("the signature to be told", told).await?;
    let all = everything(&server).await?;
    let (first, second) = (id(&first), id(&second));
    let call_id = call["id"].as_str().expect("an id");
    let own = [
        "canary",
        "You said",
        "weather",
        signature,
        call_id,
        &first,
        &second,
        first.trim_start_matches("resp_"),
    ];
    for secret in own {
        let is_there = all.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_there, "{secret} can be read");
    }
    let answers: Vec<String> = redis::from_redis_value(server.tell(&["KEYS", "*:answers"]).await?)?;
    let [answers] = &answers[..] else { anyhow::bail!("{answers:?}") };
    assert_eq!(server.tell(&["HLEN", answers]).await?, Reply::Int(2), "both are there, sealed");
    // Everything expires.
    let keys: Vec<String> = redis::from_redis_value(server.tell(&["KEYS", "*"]).await?)?;
    for key in keys {
        let Reply::Int(left) = server.tell(&["TTL", &key]).await? else { anyhow::bail!("no number") };
        assert!(left > 0 && key.starts_with("ai-proxy-free:v1:"), "{key} {left}");
    }
    Ok(())
}

#[tokio::test]
async fn row_138_without_the_server_each_instance_goes_on_with_its_own() -> anyhow::Result<()> {
    for signal in ["KILL", "STOP"] {
        let server = Server::start(&[]).await?;
        let mut instances = start(2, &server, &[]).await?;
        let first = given(&instances, 0, "Question").await?;
        server.signal(signal).await?;
        assert_unknown(&respond(&instances, 1, &after(&first, "And?")).await?);
        let (status, answer) = respond(&instances, 0, &after(&first, "And?")).await?;
        assert_eq!(status, 200, "{signal}: {answer}");
        assert_eq!(get(&instances, 1, &first).await?, 404, "{signal}");
        // A silent server is given up after two seconds. Nobody has waited for that.
        instances.all[1].0.line_with("is not of use").await?;
        let said = &instances.all[1].0.output;
        assert!(signal == "KILL" || said.contains("Request refused: Previous response"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn row_138_what_is_told_while_the_server_is_away_is_told_when_it_is_back() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut instances = start(2, &server, &[]).await?;
    server.kill().await?;
    let first = given(&instances, 0, "Question").await?;
    server.start_again().await?;
    until_listening(&server, 2).await;
    let known = async {
        while respond(&instances, 1, &after(&first, "And?")).await?.0 != 200 {}
        anyhow::Ok(())
    };
    within_patience("the response at the other instance", known).await?;
    for (instance, _) in &mut instances.all {
        instance.line_with("quotas are shared again").await?;
        let warnings = instance.output.lines().filter(|line| line.contains("WARN: STATE_URL"));
        assert_eq!(warnings.count(), 1, "{}", instance.output);
    }
    Ok(())
}

/// The connection that waits for news ends while the other one has not told all yet.
#[tokio::test]
async fn row_138_what_was_on_its_way_when_a_connection_ended_is_told_again() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[]).await?;
    // Nobody can write, so that telling is under way until this is over.
    server.tell(&["CLIENT", "PAUSE", "60000", "WRITE"]).await?;
    let first = given(&instances, 0, "Question").await?;
    until_listening(&server, 3).await;
    let before = listeners(&server).await?;
    for id in &before {
        server.tell(&["CLIENT", "KILL", "ID", id]).await?;
    }
    let back = async {
        while listeners(&server).await?.iter().filter(|id| !before.contains(id)).count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    within_patience("both to listen again", back).await?;
    server.tell(&["CLIENT", "UNPAUSE"]).await?;
    let known = async {
        while get(&instances, 1, &first).await? != 200 {}
        anyhow::Ok(())
    };
    within_patience("the response at the other instance", known).await
}

/// In an update without a pause, clients go on elsewhere from what an instance has said last.
#[tokio::test]
async fn row_140_what_an_instance_says_last_is_known_to_the_others() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = start(2, &server, &[]).await?;
    let gemini = instances.simulator.provider(Provider::GEMINI);
    gemini.always(Behaviour::answer(["One, ", "two, ", "three"]).paced(Duration::from_millis(200)));
    let url = format!("http://{}/v1/responses", instances.all[0].1);
    let large = json!({"model": "auto", "input": "x".repeat(900_000)});
    let asked = tokio::spawn(http_client()?.post(url).json(&large).send());
    while gemini.chat_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (ended, answer) = tokio::join!(instances.end(0), within_patience("the last answer", asked));
    let response: Value = answer??.json().await?;
    ended?;
    assert_eq!(get(&instances, 1, &id(&response)).await?, 200);
    Ok(())
}

#[tokio::test]
async fn others_keys_and_other_clients_lead_to_nothing() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[("PROXY_API_KEY", "one,two")]).await?;
    let strangers = start(1, &server, &[("GOOGLE_API_KEY", "another"), ("PROXY_API_KEY", "one,two")]).await?;
    let body = json!({"model": "auto", "input": "Question"});
    let (_, first) = ask(&instances, 0, ("POST", "/v1/responses"), Some(&body), "one").await?;
    let path = format!("/v1/responses/{}", id(&first));
    for method in ["GET", "DELETE"] {
        assert_eq!(ask(&instances, 1, (method, &path), None, "two").await?.0, 404, "{method}");
        assert_eq!(ask(&strangers, 0, (method, &path), None, "one").await?.0, 404, "{method}");
    }
    assert_eq!(ask(&instances, 1, ("GET", &path), None, "one").await?.0, 200);
    Ok(())
}

/// The size of what the server keeps of answers.
async fn kept(server: &Server) -> anyhow::Result<(usize, usize)> {
    let keys: Vec<String> = redis::from_redis_value(server.tell(&["KEYS", "*:answers"]).await?)?;
    let key = keys.first().map_or("", String::as_str);
    let answers: Vec<Vec<u8>> = redis::from_redis_value(server.tell(&["HVALS", key]).await?)?;
    Ok((answers.len(), answers.iter().map(Vec::len).sum()))
}

#[tokio::test]
async fn of_too_many_answers_the_oldest_are_forgotten() -> anyhow::Result<()> {
    const MOST: usize = 1_000_000;
    let server = Server::start(&[]).await?;
    let most = MOST.to_string();
    let instances = start(2, &server, &[("RESPONSES_MEMORY_BYTES", &most)]).await?;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(given(&instances, 0, &"x".repeat(50_000)).await?);
    }
    // The last one has arrived.
    assert_eq!(get(&instances, 1, ids.last().expect("one")).await?, 200);
    let (count, bytes) = kept(&server).await?;
    assert!(count > 4 && count < 20 && bytes <= MOST, "{count} answers of {bytes} bytes");
    assert_eq!(get(&instances, 1, &ids[0]).await?, 404);
    Ok(())
}

/// A full server refuses responses, and says so once; it is of use for everything else, and so is each instance.
#[tokio::test]
async fn row_139_a_server_that_is_full_of_other_things_refuses_responses_and_costs_no_request()
-> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = start(2, &server, &[]).await?;
    let before = given(&instances, 0, "Question").await?;
    assert_eq!(get(&instances, 1, &before).await?, 200);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    let first = given(&instances, 0, "Question").await?;
    instances.all[0].0.line_with("does not keep signatures and responses (").await?;
    assert_unknown(&respond(&instances, 1, &after(&first, "And?")).await?);
    assert_eq!(respond(&instances, 0, &after(&first, "And?")).await?.0, 200);
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    let shared = async {
        loop {
            let next = given(&instances, 0, "Question").await?;
            if get(&instances, 1, &next).await? == 200 {
                return anyhow::Ok(());
            }
        }
    };
    within_patience("responses to be shared again", shared).await
}

/// A deleted response, of which two instances have a copy, is gone at the other one.
async fn until_gone(instances: &Instances, id: &str) -> anyhow::Result<()> {
    let gone = async {
        while get(instances, 1, id).await? != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    within_patience("the response to be gone", gone).await
}

async fn delete(instances: &Instances, number: usize, id: &str) -> anyhow::Result<()> {
    let (status, _) = ask(instances, number, ("DELETE", &format!("/v1/responses/{id}")), None, "").await?;
    anyhow::ensure!(status == 200, "{status}");
    Ok(())
}

#[tokio::test]
async fn row_139_what_is_deleted_while_the_server_is_full_is_gone_at_all() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[]).await?;
    let first = given(&instances, 0, "Forget this").await?;
    assert_eq!(get(&instances, 1, &first).await?, 200, "it is here, too, now");
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    delete(&instances, 0, &first).await?;
    until_gone(&instances, &first).await?;
    assert_eq!(kept(&server).await?.0, 0, "nothing of it is on the server");
    Ok(())
}

#[tokio::test]
async fn row_139_what_is_deleted_while_the_server_takes_nothing_is_told_later() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = start(2, &server, &[]).await?;
    let first = given(&instances, 0, "Forget this").await?;
    assert_eq!(get(&instances, 1, &first).await?, 200, "it is here, too, now");
    server.tell(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    delete(&instances, 0, &first).await?;
    instances.all[0].0.line_with("does not keep signatures and responses (").await?;
    server.tell(&["REPLICAOF", "NO", "ONE"]).await?;
    until_gone(&instances, &first).await
}

/// Four at once, of 2.4 MB each, do not make what the instances tell of their quotas late.
#[tokio::test]
async fn large_responses_go_on_at_another_instance_and_quotas_are_shared_meanwhile() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let instances = start(2, &server, &[]).await?;
    instances.simulator.provider(Provider::GEMINI).always(Behaviour::answer(["Fine"]));
    let part = json!({"role": "user", "content": "x".repeat(800_000)});
    let large = json!({"model": "auto", "input": [part, part, part]});
    let each = (0..4).map(|_| respond(&instances, 0, &large));
    let mut last = String::new();
    for answered in futures::future::join_all(each).await {
        let (status, response) = answered?;
        assert_eq!(status, 200, "{response}");
        last = id(&response);
    }
    let found = async {
        while respond(&instances, 1, &after(&last, "And?")).await?.0 != 200 {}
        anyhow::Ok(())
    };
    within_patience("the response at the other instance", found).await?;
    let text = sent(&instances).to_string();
    assert_eq!(text.matches(&"x".repeat(800_000)).count(), 3);
    for (mut instance, _) in instances.all {
        instance.child.kill().await?;
        let all = instance.line_with("a line that there is not").await;
        assert!(all.is_err() && !instance.output.contains("WARN: STATE_URL"), "{}", instance.output);
    }
    Ok(())
}

/// However small the server is, there is room for quotas.
#[tokio::test]
async fn row_139_answers_leave_the_servers_memory_to_quotas() -> anyhow::Result<()> {
    let server = Server::start(&["--maxmemory", "16mb", "--maxmemory-policy", "noeviction"]).await?;
    let instances = start(2, &server, &[]).await?;
    let mut last = String::new();
    for _ in 0..30 {
        last = given(&instances, 0, &"x".repeat(400_000)).await?;
    }
    assert_eq!(get(&instances, 1, &last).await?, 200);
    let (count, bytes) = kept(&server).await?;
    assert!(count < 30 && bytes <= 4 * 1024 * 1024, "{count} answers of {bytes} bytes");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let limit = instances.limit(1).await?;
    assert!(limit["used"].as_u64() >= Some(30), "quotas are shared: {limit}");
    for (mut instance, _) in instances.all {
        instance.child.kill().await?;
        let all = instance.line_with("a line that there is not").await;
        assert!(all.is_err() && !instance.output.contains("WARN: STATE_URL"), "{}", instance.output);
    }
    Ok(())
}

/// What the script itself keeps to.
#[tokio::test]
async fn of_too_much_news_the_oldest_goes() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let script = include_str!("../../src/share/memory.lua");
    let keys = ["n", "a", "b", "o", "s"];
    for number in 0..50 {
        let text = format!("{number:0500}");
        let mut command = vec!["EVAL", script, "5"];
        command.extend(keys);
        command.extend(["tell", "me", "20000", "s", text.as_str()]);
        server.tell(&command).await?;
    }
    let told: Vec<(String, Vec<String>)> =
        redis::from_redis_value(server.tell(&["XRANGE", "n", "-", "+"]).await?)?;
    let numbers: Vec<u32> = told.iter().map(|(_, fields)| fields[3].parse().expect("a number")).collect();
    assert!(numbers.len() >= 15 && numbers.len() <= 40, "{numbers:?}");
    assert_eq!(numbers.last(), Some(&49));
    let bytes = (numbers.len() * (500 + 512)).to_string();
    assert_eq!(server.tell(&["HGET", "s", "news"]).await?, Reply::BulkString(bytes.into_bytes()));
    Ok(())
}
