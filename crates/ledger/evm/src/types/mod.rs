//! Headers, transactions, blocks and receipts, byte for byte as Ethereum has them.
//!
//! The values and their RLP come from `alloy`; this module adds what a node needs around them: a hash that is computed once,
//! a sender that is recovered once, and encodings that are refused unless they are the one canonical form.
//!
//! Invariants:
//! - what decodes re-encodes to the same bytes; trailing bytes, padded integers and long forms of short lengths are refused;
//! - no input panics, and decoding allocates no more than a small multiple of the input;
//! - a blob sidecar travels beside its transaction and never inside a block (EIP-4844 § Networking).
//!
//! Start reading at [`EvmBlock`].

mod block;
mod header;
mod receipt;
mod rlp;
#[cfg(test)]
mod tests;
mod tx;

pub use block::EvmBlock;
pub use header::{EvmHeader, difficulty_of, target_of};
pub use receipt::{EvmReceipt, EvmReceipts};
pub use tx::{BLOBS_MAX, EvmTx, PooledEnvelope, RecoverError, Sidecar, TxEnvelope};
