//! The variables of the process, with or without those of `.env` as a fallback.

use std::fs::File;
use std::io::{self, Read as _};

use super::dot_env::{DotEnv, without_quotes};

/// The largest `.env` that is read, in bytes: far more than anybody writes.
const MAX_DOT_ENV_BYTES: u64 = 1024 * 1024;

/// The variables of the process, with those of `.env` in the working directory as a fallback.
pub(crate) struct Environment(DotEnv);

/// `.env` exists and cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
#[error(".env cannot be read: is it a file of at most 1 MiB, and may you read it?")]
pub(crate) struct EnvironmentError;

impl Environment {
    /// Reads `.env`, if there is one. What is wrong within it is in [`Self::mistakes`].
    ///
    /// # Errors
    /// [`EnvironmentError`].
    pub(crate) fn read() -> Result<Self, EnvironmentError> {
        let file = match File::open(".env") {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(DotEnv::default())),
            Err(_) => return Err(EnvironmentError),
        };
        let mut bytes = Vec::new();
        let length =
            file.take(MAX_DOT_ENV_BYTES + 1).read_to_end(&mut bytes).map_err(|_| EnvironmentError)?;
        if length as u64 > MAX_DOT_ENV_BYTES {
            return Err(EnvironmentError);
        }
        Ok(Self(DotEnv::parse(&bytes)))
    }

    /// The variables of the process alone, whatever `.env` says.
    pub(crate) fn without_file() -> Self {
        Self(DotEnv::default())
    }

    /// The lines of `.env` that cannot be read, a sentence each; see [`DotEnv::mistakes`].
    pub(crate) fn mistakes(&self) -> &[String] {
        &self.0.mistakes
    }

    /// The value of a variable; one that is set but empty in the process does not hide the one in `.env`. If both are
    /// empty, so is the value: to some variables that means something.
    ///
    /// `docker run --env-file` knows no quotes and passes them on, so a pair around the value is taken off here, too.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let own = std::env::var_os(name).map(|value| without_quotes(&value.to_string_lossy()).to_owned());
        let fallback = || self.0.variables.get(name).cloned();
        match own {
            Some(own) if own.trim().is_empty() => fallback().or(Some(own)),
            own => own.or_else(fallback),
        }
    }
}
