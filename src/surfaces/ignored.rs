//! The names of ignored fields, for the client to know.

/// Names of ignored fields, each once and at most [`MAX_IGNORED`].
#[derive(Default)]
pub(super) struct Ignored(pub(super) Vec<String>);

/// The most names that are reported.
const MAX_IGNORED: usize = 32;

impl Ignored {
    /// Adds `names`, each behind `prefix`.
    pub(super) fn add(&mut self, prefix: &str, names: Vec<String>) {
        for name in names {
            let name = format!("{prefix}{name}");
            if self.0.len() < MAX_IGNORED && !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }
}
