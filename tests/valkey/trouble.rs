//! Nobody is refused because something is wrong with the server.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::instances::Instances;
use crate::logins::free_port;
use crate::server::Server;
use crate::support::{Binary, within_patience};
use crate::way::{Traffic, Way};

/// As long as an instance believes in what it was granted, and longer.
const FAR_BEYOND_A_LEASE: Duration = Duration::from_secs(7);

#[tokio::test]
async fn row_132_a_server_that_is_killed_and_comes_back_empty_costs_no_request() -> anyhow::Result<()> {
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
async fn row_133_a_server_that_says_nothing_costs_no_request() -> anyhow::Result<()> {
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
async fn row_134_a_server_that_is_full_or_may_only_read_costs_no_request() -> anyhow::Result<()> {
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
async fn row_134_data_of_somebody_else_costs_no_request() -> anyhow::Result<()> {
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
async fn row_136_an_instance_that_is_killed_gives_back_what_it_held() -> anyhow::Result<()> {
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
async fn row_135_a_wrong_password_is_said_at_the_start_and_a_server_that_is_away_is_not_waited_for()
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

/// A connection that takes one of the places of the server's clients.
async fn place_taken(server: &Server) -> anyhow::Result<UnixStream> {
    loop {
        let mut stream = UnixStream::connect(server.socket()).await?;
        let (mut said, mut answer) = (stream.write_all(b"PING\r\n").await, [0; 7]);
        said = said.and(stream.read_exact(&mut answer).await.map(drop));
        if said.is_ok() && &answer == b"-NOAUTH" {
            return Ok(stream);
        }
        // The server has not missed yet who was there before.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It says so before anybody can log in, as it would refuse a login.
#[tokio::test]
async fn row_135_a_server_that_has_too_many_clients_does_not_end_the_start_and_is_used_later()
-> anyhow::Result<()> {
    let port = free_port()?;
    let own = ["--port", &port, "--requirepass", "right", "--maxclients", "3"];
    let server = Server::start(&own).await?;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(within_patience("a place", place_taken(&server)).await?);
    }
    let instances = Instances::start(0, None, 60, &[]).await?;
    let url = format!("redis://:right@127.0.0.1:{port}");
    let own = [("STATE_URL", url.as_str()), ("STATE_FILE", "")];
    let (mut binary, address) = Binary::over(&instances.simulator, &own).await?;
    binary.line_with("is not of use").await?;
    assert!(instances.client().ask(address).await?);
    drop(taken);
    binary.line_with("quotas are shared").await?;
    Ok(())
}

/// A server that is almost full takes something now and then.
#[tokio::test]
async fn row_134_a_server_that_is_full_now_and_then_does_not_fill_the_log() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(1, Some(&server), 300, &[]).await?;
    for _ in 0..5 {
        for (most, is_shared) in [("1", false), ("0", true)] {
            server.tell(&["CONFIG", "SET", "maxmemory", most]).await?;
            let noticed = async {
                while instances.is_shared(0).await? != is_shared {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                anyhow::Ok(())
            };
            within_patience("the instance to notice", noticed).await?;
        }
    }
    let (mut instance, _) = instances.all.remove(0);
    instance.child.kill().await?;
    assert!(instance.line_with("a line that there is not").await.is_err());
    let output = &instance.output;
    assert_eq!(output.matches("is not of use").count(), 2, "{output}");
    assert_eq!(output.matches("quotas are shared again").count(), 1, "{output}");
    Ok(())
}

/// Three instances that come to their server over a way on which something happens to bytes, asked for ten seconds.
async fn on_a_way(traffic: Traffic) -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let way = Way::to(&server).await?;
    let mut instances = Instances::start(3, None, 150, &[("STATE_URL", &way.url())]).await?;
    way.set(traffic);
    let during = instances.ask_many(100, Duration::from_millis(100), |number| number % 3).await?;
    way.set(Traffic::Flows);
    if matches!(traffic, Traffic::Stands | Traffic::AnswersStand) {
        for (instance, _) in &mut instances.all {
            instance.line_with("quotas are shared again").await?;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = instances.ask_many(60, Duration::from_millis(20), |number| number % 3).await?;
    let burnt = instances.burnt(during.answered + after.answered);
    println!("{traffic:?}: {during:?}, then {after:?}; {burnt} calls refused by the provider");
    assert_eq!(during.refused, 0, "{traffic:?}");
    // What was used meanwhile is known to all as soon as bytes flow.
    assert!(after.answered >= 47 && burnt <= 1, "{traffic:?}: {after:?}, {burnt}");
    Ok(())
}

#[tokio::test]
async fn row_133_a_server_from_which_nothing_comes_and_to_which_nothing_goes_costs_no_request()
-> anyhow::Result<()> {
    on_a_way(Traffic::Stands).await
}

/// It counts what it hears, and nobody hears that it does.
#[tokio::test]
async fn row_133_a_server_whose_answers_do_not_arrive_costs_no_request_and_counts_nothing_twice()
-> anyhow::Result<()> {
    on_a_way(Traffic::AnswersStand).await
}

#[tokio::test]
async fn row_133_a_server_that_is_far_away_costs_no_request() -> anyhow::Result<()> {
    on_a_way(Traffic::Late(Duration::from_millis(300))).await
}

/// The pauses between attempts have grown to the longest by then.
#[tokio::test]
async fn row_132_a_server_that_was_away_for_long_is_used_again_within_thirty_seconds() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut instances = Instances::start(1, Some(&server), 300, &[]).await?;
    server.kill().await?;
    tokio::time::sleep(Duration::from_secs(22)).await;
    server.start_again().await?;
    let line = instances.all[0].0.line_with("quotas are shared again");
    tokio::time::timeout(Duration::from_secs(30), line).await??;
    Ok(())
}

#[tokio::test]
async fn row_136_instances_that_are_killed_and_added_under_load_cost_no_request_of_the_others()
-> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut instances = Instances::start(3, Some(&server), 150, &[]).await?;
    let mut answered = 0;
    for _ in 0..3 {
        let tally = instances.ask_many(40, Duration::from_millis(50), |number| number % 3).await?;
        (answered, _) = (answered + tally.answered, assert_eq!(tally.refused, 0, "there is room"));
        let (mut oldest, _) = instances.all.remove(0);
        oldest.child.kill().await?;
        instances.add().await?;
    }
    // Their leases are over after ten seconds.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let last = instances.ask_many(60, Duration::from_millis(20), |number| number % 3).await?;
    let burnt = instances.burnt(answered + last.answered);
    println!("killed and added: {answered} and {last:?}; {burnt} calls refused by the provider");
    // What a killed instance has used since its last exchange nobody knows.
    assert!(last.answered >= 28 && burnt <= 3, "{last:?}, {burnt}");
    Ok(())
}
