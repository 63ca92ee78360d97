//! A limit that a provider has told to one instance, or that its calls have shown, as the others are told of it.

use crate::middle::{MOST_COUNTED, Source};

/// Until something else is told.
pub(super) const FOR_EVER: i64 = -1;

/// What was learnt of a limit. Times are in milliseconds since 1970 by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// The limit.
    pub(crate) most: u64,
    /// How it is known: never from documents or settings, which every instance has itself.
    pub(crate) source: Source,
    /// When it was learnt.
    pub(crate) as_of_ms: i64,
    /// Until when it is more than a guess; -1 until something else is told.
    pub(crate) certain_until_ms: i64,
}

impl Learnt {
    /// Whether the provider has stated it. That counts more than what was inferred, whatever is younger.
    pub(crate) fn is_stated(&self) -> bool {
        self.source > Source::Observed
    }

    /// What is kept besides the time, in words.
    pub(crate) fn words(&self) -> String {
        format!("{} {} {}", self.most, self.source.as_str(), self.certain_until_ms)
    }

    /// Reads `stated time words`; `None` if that is something else, or says nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').skip(1);
        let as_of_ms = words.next()?.parse().ok()?;
        let most: u64 = words.next()?.parse().ok().filter(|most| *most > 0)?;
        let source = words.next()?;
        let source = *LEARNT_SOURCES.iter().find(|it| it.as_str() == source)?;
        Some(Self {
            most: most.min(MOST_COUNTED),
            source,
            as_of_ms,
            certain_until_ms: words.next()?.parse().ok()?,
        })
    }
}

/// How a limit is learnt.
pub(super) const LEARNT_SOURCES: [Source; 3] = [Source::Observed, Source::ErrorBody, Source::Header];
