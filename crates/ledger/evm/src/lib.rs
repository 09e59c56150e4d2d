//! Ethereum's ledger: accounts and contracts, executed exactly, Frontier to Osaka and the blob-parameter forks.
//!
//! A block's way: [`types`] (bytes) → `rules` (what headers and bodies prove) → `execute` (against [`state`]) → the root
//! of the trie that follows the state. Types, RLP and the machine come from `alloy` and `revm`; rules, tables, trie and
//! pool are ours.
//!
//! Invariant: nothing here reads a clock, a disk or a network, and nothing of Ethereum leaves for `chainwright-chain`.

pub mod config;
pub mod execute;
mod ledger;
pub mod pool;
pub mod rules;
pub mod senders;
pub mod state;
pub mod trie;
pub mod types;
mod wishes;

pub use ledger::Evm;
pub use wishes::Wishes;
