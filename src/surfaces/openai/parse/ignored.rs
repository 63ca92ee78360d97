//! What is told of fields that nobody takes.

/// Names of fields that nobody here takes any notice of; each once, and not very many.
pub(super) struct Ignored(pub(super) Vec<String>);

/// As many as are told of.
const MAX_IGNORED: usize = 32;

impl Ignored {
    pub(super) fn add(&mut self, prefix: &str, names: Vec<String>) {
        for name in names {
            let name = format!("{prefix}{name}");
            if self.0.len() < MAX_IGNORED && !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }
}
