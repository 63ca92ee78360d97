//! [`Complaint`]: whether the log should hear that something is wrong, or that it is over.

use std::time::Duration;

use tokio::time::Instant;

/// What has gone well for so long is over. What comes back sooner is said once more, and then not before it was over.
const CALM: Duration = Duration::from_secs(10);

/// Something that may be wrong now and then, such as a server that is almost full.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// Whether it was ever wrong.
    has_been: bool,
    /// Whether the log believes that it is wrong.
    is_said: bool,
    /// Whether it came back before it was over.
    is_shaky: bool,
    well_since: Option<Instant>,
}

impl Complaint {
    /// It is wrong. Says whether the log should hear of it.
    pub(super) fn wrong(&mut self, now: Instant) -> bool {
        self.believe(now);
        let since = self.well_since.take();
        let has_been = std::mem::replace(&mut self.has_been, true);
        let was_calm = !has_been || since.is_some_and(|since| now.duration_since(since) >= CALM);
        if self.is_said {
            return false;
        }
        (self.is_said, self.is_shaky) = (true, !was_calm);
        true
    }

    /// It goes well. Says whether the log should hear that it is over.
    pub(super) fn well(&mut self, now: Instant) -> bool {
        self.well_since.get_or_insert(now);
        let was_said = self.is_said;
        self.believe(now);
        was_said && !self.is_said
    }

    fn believe(&mut self, now: Instant) {
        let enough = if self.is_shaky { CALM } else { Duration::ZERO };
        if self.well_since.is_some_and(|since| now.duration_since(since) >= enough) {
            self.is_said = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_again_and_again_is_said_twice_and_then_not_before_it_was_over() {
        let (begun, mut complaint) = (Instant::now(), Complaint::default());
        let mut at = |second: f64, is_wrong: bool| {
            let now = begun + Duration::from_secs_f64(second);
            if is_wrong { complaint.wrong(now) } else { complaint.well(now) }
        };
        assert!(!at(59.0, false) && at(60.0, true), "at once");
        assert!(!at(61.0, true) && at(62.0, false) && !at(63.0, false), "each once");
        assert!(at(64.0, true), "or the log would be wrong");
        for second in 65..100 {
            assert!(!at(f64::from(second), false) && !at(f64::from(second) + 0.5, true), "{second}");
        }
        assert!(!at(100.0, false) && !at(109.0, false) && at(110.0, false), "it is over");
        assert!(at(111.0, true) && at(112.0, false), "something new");
        assert!(at(130.0, true), "nothing was heard in between");
        assert!(at(131.0, false) && at(132.0, true) && !at(133.0, false));
        assert!(at(150.0, true), "it was well all the time");
    }
}
