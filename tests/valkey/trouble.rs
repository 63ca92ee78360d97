//! Nobody is refused because something is wrong with the server.

use std::time::Duration;

use crate::instances::Instances;
use crate::server::Server;
use crate::support::Binary;

/// As long as an instance believes in what it was granted, and longer.
const FAR_BEYOND_A_LEASE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_empty_costs_no_request() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), 90, &[]).await?;
    let before = instances.ask_many(9, Duration::from_millis(10), |number| number % 3).await?;
    server.kill().await?;
    // What they hold does not count any more, and each may use a third.
    tokio::time::sleep(FAR_BEYOND_A_LEASE).await;
    let without = instances.ask_many(60, Duration::from_millis(20), |number| number % 3).await?;
    server.start_again().await?;
    for (instance, _) in &mut instances.all {
        instance.line_with("quotas are shared again").await?;
    }
    // Who came back first holds a part of what it did not know to be used, until it asks again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = instances.ask_many(15, Duration::from_millis(100), |number| number % 3).await?;
    assert_eq!((before.refused, without.refused, after.refused), (0, 0, 0));
    assert_eq!(instances.burnt(84), 0);
    let output = &instances.all[0].0.output;
    assert_eq!(output.matches("is not of use").count(), 1, "one warning: {output}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_request() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), 300, &[]).await?;
    server.signal("STOP").await?;
    let without = instances.ask_many(60, Duration::from_millis(150), |number| number % 3).await?;
    server.signal("CONT").await?;
    instances.all[1].0.line_with("quotas are shared again").await?;
    assert_eq!(without.refused, 0);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_full_or_may_only_read_costs_no_request() -> anyhow::Result<()> {
    for command in [["CONFIG", "SET", "maxmemory", "1"], ["REPLICAOF", "127.0.0.1", "1", ""]] {
        let server = Server::start(&[]).await?;
        let mut instances = Instances::start(2, Some(&server), 300, &[]).await?;
        let command: Vec<&str> = command.into_iter().filter(|word| !word.is_empty()).collect();
        server.tell(&command).await?;
        instances.all[0].0.line_with("is not of use").await?;
        tokio::time::sleep(FAR_BEYOND_A_LEASE).await;
        let tally = instances.ask_many(30, Duration::from_millis(20), |number| number % 2).await?;
        assert_eq!(tally.refused, 0, "{command:?}");
    }
    Ok(())
}

#[tokio::test]
async fn data_of_somebody_else_costs_no_request() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    server.tell(&["SET", "ai-proxy-free:v1:{gemini}:rests", "something else"]).await?;
    server.tell(&["SET", "ai-proxy-free:v1:{gemini}:rest", "no number"]).await?;
    let mut instances = Instances::start(0, Some(&server), 300, &[]).await?;
    let own = [("STATE_URL", server.url())];
    let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut binary, address) = Binary::over(&instances.simulator, &own).await?;
    binary.line_with("is not of use").await?;
    instances.all.push((binary, address));
    let tally = instances.ask_many(10, Duration::from_millis(20), |_| 0).await?;
    assert_eq!(tally.refused, 0);
    Ok(())
}

#[tokio::test]
async fn an_instance_that_is_killed_gives_back_what_it_held() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), 60, &[]).await?;
    let before = instances.ask_many(12, Duration::from_millis(20), |number| number % 3).await?;
    for _ in 0..2 {
        let (mut binary, _) = instances.all.pop().expect("an instance");
        binary.child.kill().await?;
    }
    // Their leases are over after ten seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let after = instances.ask_many(60, Duration::from_millis(20), |_| 0).await?;
    assert_eq!((before.answered, after.answered), (12, 48));
    // What a killed instance had used since its last exchange, a tenth of a second before, nobody knows.
    assert!(instances.burnt(60) <= 2, "{}", instances.burnt(60));
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_said_at_the_start_and_a_server_that_is_away_is_not_waited_for()
-> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    server.tell(&["CONFIG", "SET", "requirepass", "right"]).await?;
    for url in [server.url(), format!("{}?pass=wrong", server.url())] {
        let variables = [("STATE_URL", url.as_str()), ("STATE_FILE", "")];
        let (code, _, errors) = Binary::run(&[], &variables, None).await?;
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("STATE_URL") && !errors.contains("wrong"), "{errors}");
    }
    let right = format!("{}?pass=right", server.url());
    let mut instances = Instances::start(0, None, 60, &[]).await?;
    for (url, line) in [(right.as_str(), "are shared through"), ("redis://127.0.0.1:1", "is not of use")] {
        let own = [("STATE_URL", url), ("STATE_FILE", "")];
        let (mut binary, address) = Binary::over(&instances.simulator, &own).await?;
        binary.line_with(line).await?;
        instances.all.push((binary, address));
        assert!(instances.ask(instances.all.len() - 1).await?);
    }
    Ok(())
}
