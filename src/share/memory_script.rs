//! The script that keeps what instances remember together: its arguments and its answers. Pure.

use std::time::Duration;

use redis::{Cmd, Script, ScriptInvocation};

use super::script::PREFIX;
use super::secret::Name;

/// What the server does.
const SOURCE: &str = include_str!("memory.lua");

/// The script, and its keys: one set for those who have the same keys of providers.
pub(super) struct MemoryScript {
    script: Script,
    keys: [String; 5],
}

/// What the others have told.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The id of the last one.
    pub(super) last: Option<String>,
    /// Who has told it, what it is, and its text.
    pub(super) entries: Vec<(String, String, Vec<u8>)>,
}

/// An answer that the server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its name.
    pub(crate) name: Name,
    /// How long ago it was given.
    pub(crate) age: Duration,
    /// The size of what is kept.
    pub(crate) bytes: usize,
}

impl MemoryScript {
    /// For instances that know this name.
    pub(super) fn new(group: Name) -> Self {
        let keys = ["news", "answers", "about", "order", "sizes"];
        // The braces keep them together on a cluster.
        let keys = keys.map(|key| format!("{PREFIX}:{{memory-{group}}}:{key}"));
        Self { script: Script::new(SOURCE), keys }
    }

    fn call(&self, verb: &str) -> ScriptInvocation<'_> {
        let mut call = self.script.prepare_invoke();
        call.key(&self.keys).arg(verb);
        call
    }

    /// Tells what is news: pairs of a kind and a text.
    pub(super) fn tell(
        &self,
        instance: &str,
        most_bytes: u64,
        news: &[(&str, Vec<u8>)],
    ) -> ScriptInvocation<'_> {
        let mut call = self.call("tell");
        call.arg(instance).arg(most_bytes);
        for (kind, text) in news {
            call.arg(*kind).arg(text);
        }
        call
    }

    /// Keeps an answer that goes on from `parent`.
    pub(super) fn keep(
        &self,
        most_bytes: u64,
        name: Name,
        parent: Option<Name>,
        sealed: &[u8],
    ) -> ScriptInvocation<'_> {
        let mut call = self.call("keep");
        let parent = parent.map(|parent| parent.to_string()).unwrap_or_default();
        call.arg(most_bytes).arg(name.to_string()).arg(parent).arg(sealed);
        call
    }

    /// Asks for answers and those they go on from.
    pub(super) fn chains(&self, names: &[Name]) -> ScriptInvocation<'_> {
        let mut call = self.call("chains");
        names.iter().for_each(|name| {
            call.arg(name.to_string());
        });
        call
    }

    /// Asks for what is kept of answers.
    pub(super) fn texts(&self, names: impl Iterator<Item = Name>) -> Cmd {
        let [_, answers, ..] = &self.keys;
        let mut command = redis::cmd("HMGET");
        command.arg(answers);
        names.for_each(|name| {
            command.arg(name.to_string());
        });
        command
    }

    /// Waits up to `wait` for news after the entry `last`.
    pub(super) fn listen(&self, last: &str, count: usize, wait: Duration) -> Cmd {
        let [news, ..] = &self.keys;
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(count).arg("BLOCK").arg(wait).arg("STREAMS").arg(news).arg(last);
        command
    }
}

/// What `XREAD` answers: streams, their entries, and the fields of each.
pub(super) type Streams = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

/// The entries of an answer to [`MemoryScript::listen`]. What another version has told is left out.
pub(super) fn entries(streams: Streams) -> Entries {
    let mut all = Entries::default();
    for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
        all.last = Some(id);
        let Ok([_, by, kind, text]) = <[Vec<u8>; 4]>::try_from(fields) else { continue };
        if let (Ok(by), Ok(kind)) = (String::from_utf8(by), String::from_utf8(kind)) {
            all.entries.push((by, kind, text));
        }
    }
    all
}

/// What a chain is, the asked one first; `None` if it is not what the script says.
pub(super) fn chain(flat: Vec<String>) -> Option<Vec<Kept>> {
    let kept = flat.chunks_exact(3).map(|three| {
        let [name, age, bytes] = three else { return None };
        let age = Duration::from_millis(age.parse().ok()?);
        Some(Kept { name: Name::parse(name)?, age, bytes: bytes.parse().ok()? })
    });
    kept.collect()
}
