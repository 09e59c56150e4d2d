//! Errors a person sees: what went wrong, and which command to try next.

use std::process::ExitCode;

/// Everything worked.
pub(crate) const EXIT_OK: u8 = 0;
/// The command was understood and failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line or a chain file makes no sense.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Nobody answers at the RPC address.
pub(crate) const EXIT_NO_ANSWER: u8 = 3;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    /// What went wrong.
    message: String,
    /// What to do about it.
    hint: Option<String>,
    code: u8,
}

/// What commands return.
pub(crate) type CliResult<T> = Result<T, CliError>;

impl CliError {
    /// The command was understood and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_FAILED }
    }

    /// The command line or a chain file makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_USAGE }
    }

    /// Nobody answers.
    pub(crate) fn no_answer(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: EXIT_NO_ANSWER }
    }

    /// Names what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether something to do next is named already.
    pub(crate) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Prints the error to standard error, as a person or (`is_json`) a program reads it.
    pub(crate) fn report(&self, is_json: bool) -> ExitCode {
        if is_json {
            let error = serde_json::json!({ "error": self.message, "hint": self.hint, "code": self.code });
            crate::talk(error.to_string());
        } else {
            crate::talk(format!("error: {}", self.message));
            if let Some(hint) = &self.hint {
                crate::talk(format!("hint: {hint}"));
            }
        }
        ExitCode::from(self.code)
    }
}

/// Says what was being done when something of the system failed.
pub(crate) trait Context<T> {
    /// `what` reads like "cannot write the wallet".
    fn context(self, what: impl FnOnce() -> String) -> CliResult<T>;
}

impl<T, E: std::fmt::Display> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> CliResult<T> {
        self.map_err(|error| CliError::failed(format!("{}: {error}", what())))
    }
}
