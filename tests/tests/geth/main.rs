//! go-ethereum as a peer: each imports what the other made, and both answer alike.
//!
//! ```text
//! our node makes 1,000 blocks  → export → geth import → the same state root → 500 questions to both, answered alike
//! geth --dev makes blocks      → geth export → import → the same state root → proofs of both agree
//! ```
//!
//! Everything follows from a seed that is printed; `CHAINWRIGHT_SEED=N` sets another, and
//! `CHAINWRIGHT_QUESTIONS=N` asks more. Differences that are not mended stand in `differences.md`, and nowhere else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a skipped test must be seen, and so must the seed")]

mod answers;
mod chance;
mod contracts;
mod exchange;
mod explained;
mod genesis;
mod questions;
mod traffic;
mod wallet;
