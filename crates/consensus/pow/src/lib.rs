//! Nakamoto proof of work, for any ledger whose header has a place for it ([`Work`](chainwright_chain::Work)).
//!
//! A header must carry the target its branch demands ([`TargetRule`]), hash at or below it ([`WorkHash`]) and have a plausible
//! time; the branch with the most expected hashes leads. Rules, their order and their words are Bitcoin Core's
//! (`validation.cpp` `CheckBlockHeader`, `ContextualCheckBlockHeader`).
//!
//! Start reading at [`Pow`].
//!
//! Invariant: nothing here reads a clock or a ledger's state; a header is judged by its branch and a given time.

mod asert;
mod assumed;
mod compact;
mod engine;
mod hash;
mod miner;
mod rule;

pub use asert::{Anchor, Asert};
pub use compact::{Expanded, compact_of, difficulty_of, expand, target_of, work_of};
pub use engine::Pow;
pub use hash::{Nonces, WorkHash};
pub use miner::Miner;
pub use rule::{Retarget, TIMEWARP_MAX_SECONDS, TargetRule};
