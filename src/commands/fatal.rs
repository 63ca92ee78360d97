//! Why a command ends without having done its work.

/// Why the program ends without having served, with its exit code.
pub(super) struct Fatal(pub(super) u8, pub(super) String);

impl Fatal {
    /// The settings are wrong.
    pub(super) fn settings(message: impl ToString) -> Self {
        Self(2, message.to_string())
    }

    /// The settings are right and cannot be had.
    pub(super) fn machine(message: impl ToString) -> Self {
        Self(1, message.to_string())
    }
}
