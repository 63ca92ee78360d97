//! The provider's limits are kept together as by one.

use std::time::Duration;

use serde_json::Value;

use crate::instances::{Instances, Tally};
use crate::server::Server;

const RPM: u64 = 60;

/// Twice as many requests as a minute has room for, within six seconds; `whom` says which instance gets one. Returns how
/// many were answered and how many calls the provider has refused.
async fn burst(count: usize, whom: fn(usize) -> usize) -> anyhow::Result<(Tally, u64)> {
    let server = Server::start(&[]).await?;
    let instances = Instances::start(count, Some(&server), RPM, &[]).await?;
    let tally = instances.ask_many(120, Duration::from_millis(50), whom).await?;
    let burnt = instances.burnt(tally.answered);
    println!("{count} instances: {tally:?}, {burnt} calls refused by the provider");
    Ok((tally, burnt))
}

/// One instance alone delivers all 60 and burns none.
#[tokio::test]
async fn one_instance_delivers_the_whole_limit_and_burns_nothing() -> anyhow::Result<()> {
    let (tally, burnt) = burst(1, |_| 0).await?;
    assert_eq!((tally.answered, burnt), (RPM, 0));
    Ok(())
}

#[tokio::test]
async fn three_instances_keep_to_a_limit_together_and_deliver_all_of_it() -> anyhow::Result<()> {
    let (tally, burnt) = burst(3, |number| number % 3).await?;
    assert!(tally.answered >= RPM - 1 && burnt <= 1, "{tally:?}, {burnt}");
    Ok(())
}

#[tokio::test]
async fn ten_instances_keep_to_a_limit_together_and_deliver_nearly_all_of_it() -> anyhow::Result<()> {
    let (tally, burnt) = burst(10, |number| number % 10).await?;
    assert!(tally.answered >= RPM - 3 && burnt <= 1, "{tally:?}, {burnt}");
    Ok(())
}

#[tokio::test]
async fn one_of_ten_instances_may_use_nearly_all_of_a_limit() -> anyhow::Result<()> {
    let (tally, burnt) = burst(10, |_| 0).await?;
    assert!(tally.answered >= RPM - 3 && burnt <= 1, "{tally:?}, {burnt}");
    Ok(())
}

/// A second instance knows what the first has used before it came.
#[tokio::test]
async fn who_comes_later_knows_what_was_used_before() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(1, Some(&server), RPM, &[]).await?;
    let first = instances.ask_many(50, Duration::from_millis(5), |_| 0).await?;
    assert_eq!(first.answered, 50);
    tokio::time::sleep(Duration::from_millis(500)).await;
    instances.add().await?;
    let limit = instances.limit(1).await?;
    assert_eq!((&limit["used"], &limit["remaining"]), (&50.into(), &10.into()), "{limit}");
    assert!(limit["shared_as_of"].is_string(), "{limit}");
    // The first one holds a little, and gives that back when its second is over.
    let second = instances.ask_many(50, Duration::from_millis(60), |_| 1).await?;
    let burnt = instances.burnt(first.answered + second.answered);
    assert!((9..=10).contains(&second.answered) && burnt == 0, "{second:?}, {burnt}");
    Ok(())
}

/// Whoever is told to end has told what it has used, and holds nothing any more.
#[tokio::test]
async fn who_is_told_to_end_leaves_all_that_is_left_to_the_others() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(2, Some(&server), RPM, &[]).await?;
    let first = instances.ask_many(20, Duration::ZERO, |_| 0).await?;
    instances.end(0).await?;
    assert_eq!(first.answered, 20);
    let second = instances.ask_many(50, Duration::from_millis(5), |_| 1).await?;
    let burnt = instances.burnt(first.answered + second.answered);
    assert_eq!((second.answered, burnt), (RPM - 20, 0));
    Ok(())
}

/// What one instance learns, the others know within two seconds.
#[tokio::test]
async fn nobody_calls_a_provider_that_has_told_another_instance_to_wait() -> anyhow::Result<()> {
    use ai_proxy_free::internals::providers::Provider;
    use ai_proxy_free::internals::simulator::{Behaviour, Trouble};

    let server = Server::start(&[]).await?;
    let instances = Instances::start(2, Some(&server), RPM, &[]).await?;
    let gemini = instances.simulator.provider(Provider::GEMINI);
    gemini.then(Behaviour::trouble(Trouble::RateLimited(30.0)));
    assert!(!instances.ask(0).await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!instances.ask(1).await?);
    assert_eq!(gemini.chat_count(), 1, "the other instance has not called");
    Ok(())
}

/// Whoever tells a limit near the largest number there is cuts no other instance off.
#[tokio::test]
async fn an_absurd_limit_keeps_nobody_from_sharing() -> anyhow::Result<()> {
    use ai_proxy_free::internals::providers::Provider;
    use ai_proxy_free::internals::simulator::{Cost, Limit, Limits, Plan, Window};

    let server = Server::start(&[]).await?;
    let day = Window::Refilled(Duration::from_secs(86_400));
    let plan = Limits::Custom(Plan::each_model([Limit::new(i64::MAX as u64, Cost::Requests, day)]));
    let instances = Instances::over(2, Provider::GROQ, plan, &[("STATE_URL", &server.url())]).await?;
    assert!(instances.ask(0).await?);
    let known = async {
        while instances.limit_of(1, "requests", "day").await?["source"] != "header" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(2), known).await??;
    // By now each has asked about all of its limits, knowing this one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..2 {
        let sharing = instances.sharing(number).await?;
        assert_eq!((&sharing["state"], &sharing["reason"]), (&"shared".into(), &Value::Null), "{sharing}");
        assert!(instances.ask(number).await?);
    }
    Ok(())
}

/// Groq's documents say 8,000 tokens a minute; this account has others, which the first answer tells.
#[tokio::test]
async fn what_a_provider_tells_one_instance_of_a_limit_the_others_know_within_two_seconds()
-> anyhow::Result<()> {
    use ai_proxy_free::internals::providers::Provider;
    use ai_proxy_free::internals::simulator::{Cost, Limit, Limits, Plan, Window};

    let server = Server::start(&[]).await?;
    let minute = Window::Refilled(Duration::from_secs(60));
    let plan = Limits::Custom(Plan::each_model([Limit::new(5_000, Cost::Longest, minute)]));
    let instances = Instances::over(2, Provider::GROQ, plan, &[("STATE_URL", &server.url())]).await?;
    assert!(instances.ask(0).await?);
    let known = async {
        loop {
            let limit = instances.limit_of(1, "tokens", "minute").await?;
            if limit["limit"] == 5_000 {
                return anyhow::Ok(limit);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limit = tokio::time::timeout(Duration::from_secs(2), known).await??;
    assert_eq!((&limit["source"], limit["as_of"].is_string()), (&"header".into(), true), "{limit}");
    Ok(())
}
