//! Bitcoin's ledger: transactions, blocks, Script and signature hashes, byte for byte as Bitcoin Core has them.
//!
//! The modules below are the *context-free heart*: what bytes alone decide. Nothing here reads a clock, a disk or
//! a network, and nothing here knows the height of a block; whoever does passes [`script::Flags`].
//!
//! Bytes travel one way: [`codec`] reads a shared buffer, [`tx`] and [`block`] are views into it whose ids were
//! hashed from the original bytes, [`script`] runs on those views. Start reading at [`block::Block::decode`].
//!
//! Invariants:
//! - What decodes re-encodes to the same bytes; every other byte string is refused.
//! - No input, however hostile, panics or makes us allocate more than a small multiple of its own length.

pub mod address;
pub mod amount;
pub mod block;
pub mod build;
pub mod check;
pub mod codec;
pub mod coin;
pub mod hash;
mod ledger;
pub mod merkle;
pub mod muhash;
pub mod params;
pub mod pool;
pub mod rules;
pub mod script;
mod script_cache;
pub mod sighash;
pub mod statistics;
pub mod tx;

pub use ledger::{Receipts, Utxo};
pub use rules::body::BlockFacts;
