//! What headers and bodies prove without state.
//!
//! ```text
//! check_header (with its parent) ──► prepare (bytes alone) ──► check_body (with ancestors) ──► execution
//! ```
//!
//! Reject words say where a block failed: `header-…` here in [`check_header`], `body-…` in [`prepare`] and [`check_body`],
//! `execution-…` later. Details are in geth's words where geth has them.
//!
//! Invariants:
//! - a header fault is found by [`check_header`], a body fault before execution;
//! - a body that its header does not commit to is [`Reject::Mutated`]: another may belong
//!   to the same header. Any other fault lasts for ever;
//! - every sum of a block's own numbers is checked or saturates.

mod blobs;
mod body;
mod child;
mod difficulty;
mod header;
mod ommers;
mod recover;
#[cfg(test)]
mod tests;

pub use blobs::{blob_base_fee, excess_blob_gas, header_blob_fee};
pub(crate) use body::{BLOCK_SIZE_MAX, check_transaction};
pub use body::{EvmFacts, check_body, prepare};
pub use child::{BlockAttributes, child_header};
pub use difficulty::difficulty;
pub use header::{base_fee, check_header};
pub use ommers::name_ommers;
pub use recover::assume_impersonated;

use chainwright_chain::{Reason, Reject};

/// A rule that is broken for ever, with geth's words for it.
fn invalid(code: &'static str, detail: impl Into<String>) -> Reject {
    Reject::Invalid(Reason::with(code, detail))
}
