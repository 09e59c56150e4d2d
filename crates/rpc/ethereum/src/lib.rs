//! Ethereum's methods over the evm ledger, in the words and shapes of the execution APIs and of geth.
//!
//! ```text
//!   params ─ input ─► chain (which block, which state) ─► shape (JSON as clients expect it)
//!                        ├ past (indexes, older states)
//!                        └ lookup (the newest transactions)
//! ```
//!
//! Invariants:
//! - an answer is about one block: whatever a method reads, it reads from one [`View`](chainwright_chain::View);
//! - libraries match strings, so errors are geth's, word for word, where geth has words.
//!
//! Sources: `ethereum/execution-apis` for shapes, go-ethereum 1.16 for words and codes.

mod call;
mod chain;
mod development;
mod dialect;
mod filters;
mod input;
mod limits;
mod lookup;
mod measured;
mod methods;
mod past;
mod shape;
mod subscribe;
mod supposed;

pub use chainwright_indexes::States;
pub use dialect::EthereumDialect;
pub use limits::CallLimits;
pub use past::Past;
