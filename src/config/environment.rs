//! The variables of the process, with those of `.env` as a fallback.

use std::collections::HashMap;

/// The variables of the process, with those of `.env` in the working directory as a fallback.
pub(crate) struct Environment(HashMap<String, String>);

/// `.env` exists and cannot be read. The message never quotes it, because it may contain a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// The file as a whole.
    #[error(".env cannot be read: is it a file, and may you read it?")]
    File,
    /// One of its entries, by its number.
    #[error(".env: entry {0} cannot be read: expected lines of the form NAME=value, quotes closed")]
    Entry(usize),
}

impl Environment {
    /// Reads `.env`, if there is one.
    ///
    /// # Errors
    /// [`EnvironmentError`].
    pub(crate) fn read() -> Result<Self, EnvironmentError> {
        let entries = match dotenvy::from_path_iter(".env") {
            Ok(entries) => entries,
            Err(error) if error.not_found() => return Ok(Self(HashMap::new())),
            Err(_) => return Err(EnvironmentError::File),
        };
        let numbered = entries.enumerate();
        let variables = numbered.map(|(index, entry)| entry.map_err(|_| EnvironmentError::Entry(index + 1)));
        Ok(Self(variables.collect::<Result<_, _>>()?))
    }

    /// The value of a variable; one that is set but empty in the process does not hide the one in `.env`.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let own = std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        own.filter(|value| !value.trim().is_empty()).or_else(|| self.0.get(name).cloned())
    }
}
