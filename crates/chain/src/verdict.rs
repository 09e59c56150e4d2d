//! What can be said of a block, a header or a transaction, and who is to blame.
//!
//! Invariants:
//! - a [`Fault`] is ours (disk, bug) and never becomes [`Reject::Invalid`];
//! - [`Reject::NotYet`] and [`Reject::Mutated`] are never cached as a property of the block's id;
//! - only [`Reject::Invalid`] and [`Reject::Mutated`] cost a peer anything.

use std::borrow::Cow;

use crate::{BlockId, Timestamp, TxId};

/// Why something breaks the rules: the ledger's own short word and, optionally, what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{code}{}{detail}", if detail.is_empty() { "" } else { ", " })]
pub struct Reason {
    /// The reject word of the chain's reference implementation, such as `bad-txnmrklroot`.
    pub code: Cow<'static, str>,
    /// Values that explain the word; may be empty.
    pub detail: String,
}

impl Reason {
    /// A reason that needs no explanation.
    pub const fn new(code: &'static str) -> Self {
        Self { code: Cow::Borrowed(code), detail: String::new() }
    }

    /// A reason with the values that were seen.
    pub fn with(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }
}

/// A failure on our side: the disk, memory, or a broken invariant. Nothing changes state because of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What failed, in words an operator can act on.
    pub what: Cow<'static, str>,
}

impl Fault {
    /// A fault described by `what`.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into() }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Bytes that are not the canonical encoding of anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DecodeError {
    /// What is wrong with the bytes.
    pub what: Cow<'static, str>,
}

impl DecodeError {
    /// An error described by `what`.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into() }
    }
}

/// Why a header or a block was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Breaks the rules for ever; so do all its descendants.
    #[error("{0}")]
    Invalid(Reason),
    /// These bytes are bad, but another body may belong to the same id: drop them, remember nothing.
    #[error("{0}")]
    Mutated(Reason),
    /// Would be acceptable at the given time.
    #[error("not acceptable before {0}")]
    NotYet(Timestamp),
    /// The parent is unknown, or is not known to be part of an acceptable branch.
    #[error("parent {0} is unknown")]
    MissingParent(BlockId),
    /// Our own failure; says nothing of the block.
    #[error("internal fault: {0}")]
    Fault(#[from] Fault),
}

impl Reject {
    /// Shorthand for [`Reject::Invalid`] without detail.
    pub const fn invalid(code: &'static str) -> Self {
        Self::Invalid(Reason::new(code))
    }

    /// Shorthand for [`Reject::Mutated`] without detail.
    pub const fn mutated(code: &'static str) -> Self {
        Self::Mutated(Reason::new(code))
    }

    /// Whether the peer that sent it has broken the rules.
    pub const fn costs_peer(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Mutated(_))
    }
}

/// Why the pool did not take a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No block could ever hold it.
    #[error("{0}")]
    Invalid(Reason),
    /// A block could hold it (now or later), but this pool's policy does not take it.
    #[error("{0}")]
    Policy(Reason),
    /// It depends on transactions that are neither in the chain nor in the pool.
    #[error("{reason}")]
    MissingParents {
        /// The ledger's word for it.
        reason: Reason,
        /// The transactions that are missing, as far as known.
        parents: Vec<TxId>,
    },
    /// The pool holds it already.
    #[error("{0}")]
    Known(Reason),
    /// Our own failure.
    #[error("internal fault: {0}")]
    Fault(#[from] Fault),
}
