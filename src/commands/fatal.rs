//! Errors that end a command.

/// The exit code and the message of a command that could not do its work.
pub(super) struct Fatal(pub(super) u8, pub(super) String);

impl Fatal {
    /// The settings are wrong.
    pub(super) fn settings(message: impl ToString) -> Self {
        Self(2, message.to_string())
    }

    /// The settings are right, but this machine cannot provide what they ask for.
    pub(super) fn machine(message: impl ToString) -> Self {
        Self(1, message.to_string())
    }
}
