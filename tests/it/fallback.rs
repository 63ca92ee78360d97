//! Whatever goes wrong before the first content, with whomever: the next one answers and the client sees one
//! clean answer.

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Trouble};
use serde_json::json;

use crate::support::{TestProxy, chat, question};

/// Each class of failure, as a provider shows it, and what it is called.
fn failures() -> Vec<(&'static str, Behaviour, &'static str)> {
    let answer = || Behaviour::answer(["wrong ", "answer"]).thinking(["hm"]);
    vec![
        ("429", Behaviour::trouble(Trouble::RateLimited(2.0)), "rate_limited"),
        ("429 of a day", Behaviour::trouble(Trouble::QuotaExhausted(34.4)), "quota_exhausted"),
        ("a wrong key", Behaviour::trouble(Trouble::BadKey), "bad_key"),
        ("no credit", Behaviour::trouble(Trouble::NoCredit), "no_credit"),
        ("404 for the model", Behaviour::trouble(Trouble::ModelGone), "model_gone"),
        ("a request too large for the account", Behaviour::trouble(Trouble::TooLarge), "too_large"),
        ("a conversation too long", Behaviour::trouble(Trouble::ContextTooLong), "context_too_long"),
        ("400", Behaviour::trouble(Trouble::BadRequest), "bad_request"),
        ("500", Behaviour::trouble(Trouble::ServerError), "upstream_error"),
        ("503", Behaviour::trouble(Trouble::Overloaded), "overloaded"),
        ("silence before the head", answer().with(Fault::Stall(After::Nothing)), "timeout"),
        ("silence after the head", answer().with(Fault::Stall(After::Head)), "timeout"),
        ("a web page", Behaviour::named("html_200").expect("known"), "upstream_error"),
        ("a web page as an error", Behaviour::named("html").expect("known"), "overloaded"),
        (
            "an error event first",
            answer().with(Fault::ErrorEvent(After::Head, Trouble::Overloaded)),
            "overloaded",
        ),
        (
            "a bare error first",
            answer().with(Fault::BareError(After::Head, Trouble::Overloaded)),
            "overloaded",
        ),
        (
            "a limit in the stream",
            answer().with(Fault::ErrorEvent(After::Head, Trouble::RateLimited(3.0))),
            "rate_limited",
        ),
        ("an empty answer", Behaviour::named("empty").expect("known"), "empty_answer"),
        ("thoughts without an answer", Behaviour::answer::<&str>([]).thinking(["hm"]), "empty_answer"),
        ("closed without a byte", answer().with(Fault::Cut(After::Nothing)), "upstream_error"),
        ("reset without a byte", answer().with(Fault::Reset(After::Nothing)), "upstream_error"),
        ("cut before the content", answer().with(Fault::Cut(After::Head)), "broken_stream"),
        ("reset before the content", answer().with(Fault::Reset(After::Head)), "broken_stream"),
        ("truncated before the content", answer().with(Fault::EndEarly(After::Head)), "broken_stream"),
    ]
}

#[tokio::test]
async fn every_failure_before_the_content_falls_back_to_the_next() -> anyhow::Result<()> {
    for (case, behaviour, reason) in failures() {
        for failing in Directory::core() {
            for stream in [true, false] {
                let proxy = TestProxy::builder()
                    .with("FIRST_TOKEN_TIMEOUT_MS", 1_000)
                    .with("IDLE_TIMEOUT_MS", 1_000)
                    .start()
                    .await?;
                proxy.make_next(failing).await?;
                proxy.all(&Behaviour::answer(["right ", "answer"]));
                proxy.provider(failing).always(behaviour.clone());
                let (_, before) = proxy.counts(failing).await?;

                let mut body = question();
                body["stream"] = json!(stream);
                let reply = chat(&proxy, &body).await?;

                let mut after = Directory::core().into_iter().cycle().skip_while(|it| *it != failing);
                let next = after.nth(1).expect("somebody is next").name();
                let attempts = format!("{}:{reason}, {next}:ok", failing.name());
                assert_eq!(reply.header("x-attempts"), Some(attempts.as_str()), "{case}");
                assert_eq!(reply.header("x-provider"), Some(next), "{case}");
                let text = if stream {
                    let answer = reply.answer();
                    assert!(answer.is_done && answer.error.is_none(), "{case}: {}", reply.text());
                    answer.text
                } else {
                    reply.json()["content"].as_str().expect("content").to_owned()
                };
                assert_eq!(text, "right answer", "{case}");
                assert_eq!(proxy.counts(failing).await?, (1, before + 1), "{case}: one call, one failure");
                assert_eq!(proxy.provider(failing).chats().len(), 1, "{case}: called once");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_failures_leave_the_third() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .core()
        .with("GROQ_MODEL", "openai/gpt-oss-20b")
        .with("CEREBRAS_MODEL", "gpt-oss-120b")
        .start()
        .await?;
    proxy.provider(Provider::GROQ).always(Behaviour::trouble(Trouble::RateLimited(60.0)));
    proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::ServerError));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:rate_limited, Cerebras:upstream_error, Gemini:ok"));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:cooling_down, Cerebras:cooling_down, Gemini:ok"));
    assert_eq!(proxy.counts(Provider::GROQ).await?, (1, 1), "passing over costs nothing");
    Ok(())
}

/// Another model of the same provider cures a dead model, a limit and an overload, a second key a bad one; nothing of the
/// provider's own cures what it says of the request.
#[tokio::test]
async fn another_model_or_key_is_tried_where_that_cures_the_failure() -> anyhow::Result<()> {
    let cases = [
        (
            Trouble::ModelGone,
            "GROQ_MODEL",
            "openai/gpt-oss-20b,openai/gpt-oss-120b",
            Some("Groq:model_gone, Groq:ok"),
        ),
        (
            Trouble::RateLimited(9.0),
            "GROQ_MODEL",
            "openai/gpt-oss-20b,openai/gpt-oss-120b",
            Some("Groq:rate_limited, Groq:ok"),
        ),
        // "… or you do not have access to it": the other account may.
        (Trouble::ModelGone, "GROQ_API_KEY", "first,second", Some("Groq:model_gone, Groq:ok")),
        (Trouble::BadKey, "GROQ_API_KEY", "first,second", Some("Groq:bad_key, Groq:ok")),
        (Trouble::RateLimited(9.0), "GROQ_API_KEY", "first,second", Some("Groq:rate_limited, Groq:ok")),
        (Trouble::Overloaded, "GROQ_API_KEY", "first,second", Some("Groq:overloaded, Groq:ok")),
        (
            Trouble::Overloaded,
            "GROQ_MODEL",
            "openai/gpt-oss-20b,openai/gpt-oss-120b",
            Some("Groq:overloaded, Groq:ok"),
        ),
        (Trouble::BadRequest, "GROQ_API_KEY", "first,second", None),
        (Trouble::BadKey, "GROQ_MODEL", "openai/gpt-oss-20b,openai/gpt-oss-120b", None),
    ];
    for (trouble, variable, value, expected) in cases {
        let proxy = TestProxy::builder()
            .with("GROQ_MODEL", "openai/gpt-oss-20b")
            .with(variable, value)
            .start()
            .await?;
        proxy.provider(Provider::GROQ).then(Behaviour::trouble(trouble));
        let mut pinned = question();
        pinned["provider"] = json!("Groq");
        let reply = chat(&proxy, &pinned).await?;
        assert_eq!(reply.header("x-attempts"), expected, "{trouble:?} with {variable}={value}");
        let chats = proxy.provider(Provider::GROQ).chats();
        assert_eq!(chats.len(), if expected.is_some() { 2 } else { 1 });
        if expected.is_some() {
            let tried = |index: usize| {
                let request = &chats[index];
                (request.header("authorization").map(str::to_owned), request.json()["model"].clone())
            };
            assert_ne!(tried(0), tried(1));
        }
    }
    Ok(())
}

/// The others come first, as in every fallback; only then the provider's other models.
#[tokio::test]
async fn with_others_left_they_come_before_the_same_providers_other_models() -> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    proxy.provider(Provider::GROQ).then(Behaviour::trouble(Trouble::RateLimited(9.0)));
    proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::ServerError));
    proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::ServerError));
    let reply = chat(&proxy, &question()).await?;
    let expected = "Groq:rate_limited, Cerebras:upstream_error, Gemini:upstream_error, Groq:ok";
    assert_eq!(reply.header("x-attempts"), Some(expected));
    assert_eq!(reply.header("x-model"), Some("openai/gpt-oss-120b"));
    Ok(())
}

#[tokio::test]
async fn a_pinned_request_falls_back_to_nobody_else() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::ServerError));
    let mut pinned = question();
    pinned["provider"] = json!("cerebras");
    let reply = chat(&proxy, &pinned).await?;
    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.json()["attempts"],
        json!([{"provider": "Cerebras", "reason": "upstream_error", "status": 500}]),
        "when it is well again is not known"
    );
    Ok(())
}

/// The status says enough: nobody waits for the rest of an error, and what has come of it is read.
#[tokio::test]
async fn an_error_whose_body_does_not_end_costs_a_second_and_none_of_its_meaning() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("GROQ_MODEL", "openai/gpt-oss-20b").start().await?;
    let sentence =
        "tokens per day (TPD): Limit 200000, Used 200000, Requested 9. Please try again in 2h0m0s.";
    let body = json!({"error": {"message": sentence, "type": "tokens", "code": "rate_limit_exceeded"}});
    let reply = ai_proxy_free::internals::simulator::Reply::Raw {
        status: 429,
        headers: vec![("content-type".into(), "application/json".into())],
        body: vec![body.to_string().into_bytes()],
    };
    proxy.provider(Provider::GROQ).always(Behaviour::new(reply).with(Fault::NeverEnds));
    let begun = std::time::Instant::now();
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:quota_exhausted, Cerebras:ok"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    let mut pinned = question();
    pinned["provider"] = json!("Groq");
    assert_eq!(chat(&proxy, &pinned).await?.header("retry-after"), Some("7200"));
    Ok(())
}

/// The first-token clock is there to let somebody else try. The last one left has the rest of the request's time.
#[tokio::test]
async fn the_last_candidate_left_may_be_slow() -> anyhow::Result<()> {
    let slow =
        || Behaviour::answer(["slow ", "answer"]).thinking_for(std::time::Duration::from_millis(1_500));
    let one = || crate::support::with_one_model_each().core().with("FIRST_TOKEN_TIMEOUT_MS", 300);
    for stream in [true, false] {
        let mut body = question();
        body["stream"] = json!(stream);

        let alone = one().only([Provider::GEMINI]).start().await?;
        alone.provider(Provider::GEMINI).always(slow());
        assert_eq!(chat(&alone, &body).await?.header("x-attempts"), Some("Gemini:ok"));

        let proxy = one().start().await?;
        proxy.all(&slow());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:timeout, Cerebras:timeout, Gemini:ok"));

        let proxy = one().start().await?;
        proxy.provider(Provider::GROQ).always(slow());
        proxy.provider(Provider::CEREBRAS).always(Behaviour::trouble(Trouble::RateLimited(60.0)));
        proxy.provider(Provider::GEMINI).always(Behaviour::trouble(Trouble::BadKey));
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.status, 502, "others were left when its time was over: {}", reply.text());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(
            (reply.status, reply.header("x-provider")),
            (200, Some("Groq")),
            "now nobody else is left"
        );

        let proxy = one().with("MAX_ATTEMPTS", 1).start().await?;
        proxy.all(&slow());
        let reply = chat(&proxy, &body).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:ok"), "nobody else may be called");
    }
    Ok(())
}

/// A client whose stop word is hit at once spoils nothing for the others.
#[tokio::test]
async fn row_126_an_answer_that_the_request_itself_makes_empty_rests_nobody() -> anyhow::Result<()> {
    let proxy = crate::support::with_one_model_each().core().start().await?;
    let mut body = json!({"messages": [{"role": "user", "content": "Hola"}], "stop": ["Hola"]});
    for stream in [true, false] {
        body["stream"] = json!(stream);
        // Two of three begin with the stop word, and the third does better.
        proxy.provider(Provider::GROQ).then(Behaviour::answer(["Hola, ", "client"]));
        proxy.provider(Provider::CEREBRAS).then(Behaviour::answer(["Ho", "la"]));
        proxy.provider(Provider::GEMINI).then(Behaviour::answer(["¿Qué tal?"]));
        let reply = crate::support::complete(&proxy, &body).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:empty_answer, Cerebras:empty_answer, Gemini:ok"));
        for provider in Directory::core() {
            let report = proxy.report(provider).await?;
            assert_eq!(report["models"][0]["state"], "ready", "{provider:?}");
        }
        proxy.all(&Behaviour::answer(["Hola"]));
        let reply = crate::support::complete(&proxy, &body).await?;
        assert_eq!(reply.status, 200, "all say nothing, and that is passed on");
        proxy.all(&Behaviour::echo());
        proxy.make_next(Provider::GROQ).await?;
    }
    Ok(())
}

/// Who stops a model for reasons of its own has not failed.
#[tokio::test]
async fn an_answer_that_a_provider_stops_before_its_content_rests_nobody() -> anyhow::Result<()> {
    for (finish, state) in [("abort", "ready"), ("stop", "cooling_down")] {
        let proxy = crate::support::with_one_model_each().core().start().await?;
        proxy.provider(Provider::GROQ).then(Behaviour::answer::<&str>([]).finishing(finish));
        let reply = chat(&proxy, &question()).await?;
        assert_eq!(reply.header("x-attempts"), Some("Groq:empty_answer, Cerebras:ok"), "{finish}");
        assert_eq!(proxy.report(Provider::GROQ).await?["models"][0]["state"], state, "{finish}");
    }
    Ok(())
}

/// An answer that has begun has no total limit; when it breaks, the next one has its time.
#[tokio::test]
async fn a_whole_answer_that_breaks_late_falls_back() -> anyhow::Result<()> {
    let proxy = crate::support::with_one_model_each().core().with("REQUEST_TIMEOUT_MS", 800).start().await?;
    let long = Behaviour::answer(["a "; 15]).paced(std::time::Duration::from_millis(100));
    proxy.provider(Provider::GROQ).always(long.with(Fault::Cut(After::Text(14))));
    let mut body = question();
    body["stream"] = json!(false);
    let reply = chat(&proxy, &body).await?;
    assert_eq!(reply.header("x-attempts"), Some("Groq:broken_stream, Cerebras:ok"));
    Ok(())
}

/// If everybody is slow, the time goes to one of them, and not to one after the other.
#[tokio::test]
async fn a_provider_that_was_silent_once_is_no_reason_to_give_up_on_another() -> anyhow::Result<()> {
    let proxy = TestProxy::builder()
        .core()
        .with("FIRST_TOKEN_TIMEOUT_MS", 500)
        .with("REQUEST_TIMEOUT_MS", 10_000)
        .start()
        .await?;
    proxy.all(&Behaviour::answer(["slow"]).thinking_for(std::time::Duration::from_millis(2_000)));
    let reply = chat(&proxy, &question()).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(proxy.upstream_calls() <= 5, "{}", proxy.upstream_calls());
    Ok(())
}
