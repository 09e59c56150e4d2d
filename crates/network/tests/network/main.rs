//! Protocols that talk to each other over links in memory, each beside a real driver. Everything from seeds, no sleeping.

#[path = "../../../chain/tests/support/mod.rs"]
mod support;

mod chains;
mod frames;
mod harness;
mod hostile;
mod patience;
mod proofs;
mod puppet;
mod relay;
