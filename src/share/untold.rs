//! [`Untold`]: what was remembered here and the others have not been told of.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::warn;

use super::secret::Name;
use crate::observe::RareWarning;

/// The most that waits to be told: in number, and in bytes of texts.
const MOST_WORDS: usize = 4096;
const MOST_BYTES: usize = 1024 * 1024;
/// A longer signature is not told, with its id.
const LONGEST_SIGNATURE: usize = 64 * 1024;
/// As many bytes of texts are told at once, or one word.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_WORDS: usize = 512;

/// Something that others are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A provider's signature of a tool call: the call's id, and the signature.
    Signature(String, String),
    /// An answer of this name was stored. It is asked for when its turn comes.
    Answer(Name),
    /// An answer of this name is to be forgotten.
    Forgotten(Name),
}

impl Word {
    fn bytes(&self) -> usize {
        match self {
            Self::Signature(id, signature) => id.len() + signature.len(),
            Self::Answer(_) | Self::Forgotten(_) => 0,
        }
    }

    fn is_forgotten(&self) -> bool {
        matches!(self, Self::Forgotten(_))
    }

    /// Whether both may be told at once.
    fn goes_with(&self, other: &Self) -> bool {
        match self {
            Self::Signature(..) => matches!(other, Self::Signature(..)),
            Self::Forgotten(_) => matches!(other, Self::Forgotten(_)),
            Self::Answer(_) => false,
        }
    }
}

/// See the module. Of too many the oldest are lost.
#[derive(Debug, Default)]
pub(super) struct Untold {
    queue: Mutex<Queue>,
    bell: Notify,
    done: Notify,
    overflow: RareWarning,
}

#[derive(Debug, Default)]
struct Queue {
    words: VecDeque<Word>,
    bytes: usize,
    /// Whether something is being told.
    is_telling: bool,
    /// Whether something was lost since all was told.
    has_overflown: bool,
}

/// What is being told. Unless it was told, it waits again when this is dropped: whoever tells may be interrupted at any time.
#[derive(Debug)]
pub(super) struct Batch<'u> {
    untold: &'u Untold,
    words: Vec<Word>,
}

impl Deref for Batch<'_> {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        &self.words
    }
}

impl Batch<'_> {
    /// Nobody has to be told again.
    pub(super) fn told(mut self) {
        self.words.clear();
    }

    /// The server has refused it. What is to be forgotten is told again, behind all else: it may live on elsewhere until then.
    /// The rest is lost for others, or it could keep back all that comes after it.
    pub(super) fn refused(mut self) {
        self.words.retain(Word::is_forgotten);
        self.untold.queue().words.extend(self.words.drain(..));
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.untold.put_back(std::mem::take(&mut self.words));
    }
}

impl Queue {
    fn is_told(&self) -> bool {
        self.words.is_empty() && !self.is_telling
    }

    fn pop(&mut self) -> Option<Word> {
        let word = self.words.pop_front()?;
        self.bytes -= word.bytes();
        Some(word)
    }

    /// Drops the oldest beyond what may wait, and what is to be forgotten only if there is nothing else. Says whether that is
    /// news.
    fn shorten(&mut self) -> bool {
        let mut is_news = false;
        while self.words.len() > MOST_WORDS || self.bytes > MOST_BYTES {
            let oldest = self.words.iter().position(|it| !it.is_forgotten()).unwrap_or_default();
            self.bytes -= self.words.remove(oldest).map_or(0, |word| word.bytes());
            is_news |= !std::mem::replace(&mut self.has_overflown, true);
        }
        is_news
    }
}

impl Untold {
    /// Keeps a word until it is told.
    pub(super) fn tell(&self, word: Word) {
        if word.bytes() > LONGEST_SIGNATURE {
            return;
        }
        let mut queue = self.queue();
        queue.bytes += word.bytes();
        // What is to be forgotten does not wait behind answers that a server takes slowly or refuses. One of these that is told
        // later is not here any more by then.
        if word.is_forgotten() {
            let at = queue.words.iter().take_while(|it| it.is_forgotten()).count();
            queue.words.insert(at, word);
        } else {
            queue.words.push_back(word);
        }
        let is_too_much = queue.shorten();
        drop(queue);
        self.bell.notify_one();
        if is_too_much {
            self.complain();
        }
    }

    fn complain(&self) {
        self.overflow.say(|| {
            warn!(
                "STATE_URL: other instances do not hear of everything: more is remembered than can be told"
            );
        });
    }

    /// Waits for what is told next: signatures, names of what is forgotten, or one answer. They are not mixed, since a server
    /// may refuse one kind and take another.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&self) -> Batch<'_> {
        loop {
            if let Some(batch) = self.batch() {
                return batch;
            }
            self.bell.notified().await;
        }
    }

    fn batch(&self) -> Option<Batch<'_>> {
        let mut queue = self.queue();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.words.front() {
            let is_like_first = batch.first().is_none_or(|first| next.goes_with(first));
            let fits = is_like_first && bytes + next.bytes() <= BATCH_BYTES && batch.len() < BATCH_WORDS;
            if !batch.is_empty() && !fits {
                break;
            }
            bytes += next.bytes();
            batch.extend(queue.pop());
        }
        if batch.is_empty() {
            return None;
        }
        queue.is_telling = true;
        drop(queue);
        Some(Batch { untold: self, words: batch })
    }

    /// Waits until all is told.
    pub(super) async fn until_told(&self) {
        loop {
            let told = self.done.notified();
            if self.queue().is_told() {
                return;
            }
            told.await;
        }
    }

    /// These words could not be told: next time.
    fn put_back(&self, words: Vec<Word>) {
        let mut queue = self.queue();
        for word in words.into_iter().rev() {
            queue.bytes += word.bytes();
            queue.words.push_front(word);
        }
        queue.is_telling = false;
        let is_too_much = queue.shorten();
        if queue.is_told() {
            queue.has_overflown = false;
            self.done.notify_waiters();
        }
        drop(queue);
        if is_too_much {
            self.complain();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is left half done when somebody panics.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(number: usize, bytes: usize) -> Word {
        Word::Signature(number.to_string(), "x".repeat(bytes))
    }

    #[test]
    fn what_waits_is_bounded_and_of_too_much_the_latest_stays() {
        let untold = Untold::default();
        (0..100).for_each(|number| untold.tell(signature(number, 60_000)));
        untold.tell(signature(100, 70_000));
        let mut told = Vec::new();
        while let Some(batch) = untold.batch() {
            assert!(batch.iter().map(Word::bytes).sum::<usize>() <= BATCH_BYTES);
            told.extend_from_slice(&batch);
            batch.told();
        }
        assert_eq!(told, (83..100).map(|number| signature(number, 60_000)).collect::<Vec<_>>());
        (0..10_000).for_each(|number| untold.tell(signature(number, 0)));
        assert_eq!(untold.queue().words.len(), MOST_WORDS);
    }

    #[tokio::test]
    async fn what_is_to_be_forgotten_comes_first_and_is_not_lost_because_of_all_else() {
        let untold = Untold::default();
        let name = |number: usize| Name::parse(&format!("{number:032x}")).unwrap();
        let (answer, forgotten) =
            (|number| Word::Answer(name(number)), |number| Word::Forgotten(name(number)));
        (0..10).for_each(|number| untold.tell(answer(number)));
        (0..3).for_each(|number| untold.tell(forgotten(number)));
        (10..2 * MOST_WORDS).for_each(|number| untold.tell(answer(number)));
        assert_eq!(&*untold.next().await, &[forgotten(0), forgotten(1), forgotten(2)]);
        assert_eq!(untold.queue().words.len(), MOST_WORDS);
        (0..2 * MOST_WORDS).for_each(|number| untold.tell(forgotten(number)));
        assert_eq!(untold.queue().words.len(), MOST_WORDS);
    }

    #[tokio::test]
    async fn words_of_a_kind_are_told_in_their_order_even_if_telling_is_interrupted() {
        let untold = Untold::default();
        let name = Name::parse(&"0".repeat(32)).unwrap();
        let words = [
            signature(1, 5),
            signature(2, 5),
            Word::Forgotten(name),
            Word::Answer(name),
            Word::Answer(name),
            Word::Forgotten(name),
            Word::Forgotten(name),
        ];
        words.iter().for_each(|word| untold.tell(word.clone()));
        drop(untold.batch());
        let forgotten = [2, 5, 6].map(|number| words[number].clone());
        for expected in [&forgotten, &words[..2], &words[3..4], &words[4..5]] {
            assert!(!untold.queue().is_told());
            let batch = untold.next().await;
            assert_eq!(&*batch, expected);
            assert!(!untold.queue().is_told(), "it is being told");
            batch.told();
        }
        untold.until_told().await;
        assert!(untold.batch().is_none());
    }

    #[tokio::test]
    async fn of_what_is_refused_only_deletions_are_told_again_behind_all_else() {
        let untold = Untold::default();
        let name = Name::parse(&"0".repeat(32)).unwrap();
        untold.tell(Word::Forgotten(name));
        untold.tell(signature(1, 5));
        untold.tell(Word::Answer(name));
        for expected in [Word::Forgotten(name), signature(1, 5), Word::Answer(name), Word::Forgotten(name)] {
            let batch = untold.next().await;
            assert_eq!(&*batch, &[expected]);
            batch.refused();
        }
        assert!(!untold.queue().is_told());
        untold.next().await.told();
        untold.until_told().await;
    }
}
