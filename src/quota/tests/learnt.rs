//! What instances tell each other of limits that they have learnt.

use std::sync::Arc;

use super::*;
use crate::middle::{Limit, Measure, Source};
use crate::quota::bucket::Bucket;
use crate::quota::learnt::Learnt;
use crate::quota::share::{Bell, ShareAnswer};
use crate::quota::ticks::Now;

fn at(seconds: u64) -> Now {
    Now { wall: wall(0) + Duration::from_secs(seconds), tick: Duration::from_secs(seconds) }
}

fn bucket(source: Source) -> Bucket {
    Bucket::new(Limit::new(Measure::REQUESTS_A_MINUTE, 100), source, false, at(0))
}

fn learnt(most: u64, source: Source, seconds: u64) -> Learnt {
    let as_of_ms = at(seconds).wall.as_millisecond();
    Learnt { most, source, as_of_ms, certain_until_ms: -1 }
}

#[test]
fn the_younger_word_of_a_provider_counts_and_any_word_of_it_counts_more_than_what_was_inferred() {
    let mut bucket = bucket(Source::Default);
    let heard = [
        (learnt(50, Source::Observed, 10), 50),
        (learnt(60, Source::Header, 5), 60),
        (learnt(70, Source::Observed, 20), 60),
        (learnt(80, Source::ErrorBody, 30), 80),
        (learnt(90, Source::Header, 29), 80),
    ];
    for (learnt, most) in heard {
        bucket.learn(&learnt, 0, at(40));
        assert_eq!(bucket.most(), Some(most), "{learnt:?}");
    }
    assert_eq!(bucket.learnt(0, at(40)), Some(learnt(80, Source::ErrorBody, 30)));
}

#[test]
fn what_another_has_inferred_does_not_replace_the_users_word_and_what_the_provider_has_told_does() {
    let mut bucket = bucket(Source::Config);
    bucket.learn(&learnt(50, Source::Observed, 10), 0, at(40));
    assert_eq!(bucket.most(), Some(100));
    bucket.learn(&learnt(60, Source::Header, 10), 0, at(40));
    assert_eq!(bucket.most(), Some(60));
}

/// The clocks of two machines differ; the server's counts.
#[test]
fn what_is_told_by_the_servers_clock_is_as_old_by_every_other() {
    let (mut here, mut there) = (bucket(Source::Default), bucket(Source::Default));
    here.learn(&learnt(60, Source::Header, 10), 0, at(40));
    let told = here.learnt(7_000, at(40)).unwrap();
    there.learn(&told, -3_000, at(50));
    assert_eq!(there.status(at(50)).and_then(|it| it.as_of), Some(at(20).wall));
}

/// A refusal says that all is used. Who does not know what others have used cannot tell how much that is.
#[test]
fn nobody_infers_a_limit_from_a_refusal_while_nobody_tells_what_others_use() {
    let refused = |seconds: u64| {
        let mut bucket = bucket(Source::Default);
        bucket.join(&Arc::<Bell>::default(), at(0));
        let report = bucket.report(at(0)).unwrap();
        let answer = ShareAnswer { epoch: "1".to_owned(), lease: 50, instances: 2, ..ShareAnswer::default() };
        bucket.apply(&report, &answer, at(0).tick, at(0));
        (0..40).for_each(|attempt| bucket.reserve(attempt, 1, at(seconds)));
        bucket.refused(1, at(seconds).tick, at(seconds));
        bucket.most()
    };
    assert_eq!(refused(1), Some(40), "while a lease holds, all is known");
    assert_eq!(refused(20), Some(100), "the lease was over");
}
