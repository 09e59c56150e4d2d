//! Our verdicts beside those of Bitcoin Core's engine, on the same bytes.
//!
//! ```text
//! transactions   decoding, ids, context-free checks of transactions with a flipped bit
//! blocks         the same for real blocks; `Mutated` exactly where the id is the honest block's
//! scripts        inputs of real transactions and of the vectors, under every combination of flags
//! regtest        a chain that both sides follow: flipped and otherwise broken blocks, sealed again, with Core's words
//! ```
//!
//! Every failure names seed, case and both verdicts.

mod blocks;
mod chain;
mod changes;
mod regtest;
mod scripts;
mod support;
mod transactions;
mod wallet;
