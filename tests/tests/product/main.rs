//! The product beside real peers and hostile ones.
//!
//! One program, so that the binary is built once and the tests share two cores. Start reading at [`sync`].
#![expect(clippy::print_stderr, reason = "a skipped test must be seen, and so must what was measured")]

mod btcctl;
mod files;
mod hostile;
mod kill;
mod mainnet;
mod party;
mod payments;
mod proxy;
mod reorg;
mod sync;
mod wire;
