//! Refusals in geth's words, which libraries match.
//!
//! A [`Reason`] holds geth's error as its code and what geth appends to it as its detail; [`geth_words`] joins them as geth
//! does. Sources: `core/error.go`, `core/txpool/errors.go`, `core/txpool/validation.go`, `legacypool.go` and `blobpool.go` of
//! v1.16.7.

use chainwright_chain::{Reason, Refusal};

/// A refusal as geth would word it: `nonce too low: next nonce 5, tx nonce 4`.
pub fn geth_words(refusal: &Refusal) -> String {
    let reason = match refusal {
        Refusal::Invalid(reason)
        | Refusal::Policy(reason)
        | Refusal::Known(reason)
        | Refusal::MissingParents { reason, .. } => reason,
        Refusal::Fault(fault) => return format!("internal fault: {fault}"),
    };
    if reason.detail.is_empty() {
        reason.code.to_string()
    } else {
        format!("{}: {}", reason.code, reason.detail)
    }
}

/// Breaks a rule whatever the state is.
pub(super) fn invalid(code: &'static str) -> Refusal {
    Refusal::Invalid(Reason::new(code))
}

/// As [`invalid`], with what geth appends.
pub(super) fn invalid_with(code: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal::Invalid(Reason::with(code, detail))
}

/// Not now, or not here.
pub(super) fn policy(code: &'static str) -> Refusal {
    Refusal::Policy(Reason::new(code))
}

/// As [`policy`], with what geth appends.
pub(super) fn policy_with(code: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal::Policy(Reason::with(code, detail))
}

/// geth's `txpool.ErrAlreadyKnown`.
pub(super) fn already_known() -> Refusal {
    Refusal::Known(Reason::new("already known"))
}

/// geth's `legacypool.ErrTxPoolOverflow`.
pub(super) fn full() -> Refusal {
    policy("txpool is full")
}

pub(super) const ACCOUNT_LIMIT: &str = "account limit exceeded";
pub(super) const INSUFFICIENT_FUNDS: &str = "insufficient funds for gas * price + value";
pub(super) const INVALID_SENDER: &str = "invalid sender";
pub(super) const REPLACEMENT_UNDERPRICED: &str = "replacement transaction underpriced";
pub(super) const TIP_TOO_LOW: &str = "transaction gas price below minimum";
pub(super) const TYPE_NOT_SUPPORTED: &str = "transaction type not supported";
pub(super) const UNDERPRICED: &str = "transaction underpriced";
