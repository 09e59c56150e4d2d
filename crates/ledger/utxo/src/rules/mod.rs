//! Which blocks are valid, in Bitcoin Core's words and order.
//!
//! ```text
//! body        bytes alone: Merkle roots, sizes, coinbase, every transaction      (Core: CheckBlock, IsBlockMutated)
//! context     headers: versions, lock times, height in the coinbase, witnesses   (Core: ContextualCheckBlock…)
//! connect     state: inputs, amounts, relative lock times, signature operations  (Core: ConnectBlock)
//! scripts     what is deferred: one job checks the scripts of some inputs
//! ```
//!
//! Invariant: a verdict that witness bytes could change is `Mutated` until the witness commitment was checked.

pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod context;
pub mod locks;
pub(crate) mod scripts;
pub(crate) mod signet;

/// The most signature operations a block may cost (BIP-0141).
pub const SIGOP_COST_MAX: usize = 80_000;
