//! Whole-product tests: the real binary, real peers, real sockets on loopback.
//!
//! This library is what such a test needs; the tests themselves lie in `tests/`. They see the product as a user
//! does: command lines, files, ports, JSON-RPC. None of them reaches into a node.
//!
//! - [`Running`] a started program; it is stopped when the value is dropped, and nothing else ever is
//! - [`ChainNode`] our own binary as a node of any chain
//! - [`Btcd`] a real btcd on regtest, [`Node`] our own binary under `bitcoind`'s flags
//! - [`Geth`] a real go-ethereum, [`EthereumNode`] our own binary on a chain file with Ethereum's ledger
//! - [`DevNetwork`] our own binary as `chainwright dev` on an Ethereum chain
//! - [`btcctl`] btcd's command-line client, which must be able to drive both
//! - [`Rpc`] JSON-RPC over HTTP, without TLS
//! - [`wait_until`] the only way to wait: for a condition, with a deadline
//!
//! A test that needs a peer which is not installed says `SKIPPED: …` and returns; with
//! `CHAINWRIGHT_REQUIRE_PEERS=1` it fails instead. Install peers with `cargo xtask peers`.
#![expect(clippy::print_stderr, reason = "a skipped test must be seen")]

mod btcctl;
mod btcd;
mod chain_node;
mod dev_network;
mod ethereum;
mod geth;
mod node;
mod place;
mod process;
mod rpc;
mod wait;

pub use btcctl::btcctl;
pub use btcd::Btcd;
pub use chain_node::ChainNode;
pub use dev_network::DevNetwork;
pub use ethereum::{EthereumNode, command_line};
pub use geth::{Geth, RunningGeth};
pub use node::{Node, NodeOptions};
pub use place::{chainwright, free_port, peer, peers_folder, target_folder, vectors, workspace};
pub use process::Running;
pub use rpc::{Rpc, RpcError};
pub use wait::{wait_for, wait_until};
