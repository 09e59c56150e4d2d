//! The peer protocol as a state machine without I/O: peers, bytes and time in; bytes, requests and timers out.
//!
//! Bitcoin's wire protocol for every chain with open membership. Payloads are the ledger's own headers, transactions and
//! blocks; nothing else of the ledger is known here.
//!
//! ```text
//!   sockets ─Input─▶ Protocol ─Output─▶ sockets            one thread owns it; the simulator drives the same code
//!   driver  ─Input─▶          ─Output─▶ driver (imports)   reads go to `Published` directly
//! ```
//!
//! Start reading at [`Protocol`]; [`message`] has the bytes, [`AddressBook`] the addresses.
//!
//! Invariants: no clock, no socket, no thread and no randomness but the seed's; the same inputs give the same outputs.
//! What a peer can make us keep is bounded. No scores: a peer that breaks a rule is disconnected and discouraged.

mod address;
mod book;
mod limits;
pub mod message;
mod parameters;
mod protocol;
mod random;
mod wire;

pub use address::{AddressInfo, Host, NetworkAddress};
pub use book::{AddressBook, BookError};
pub use parameters::{Hooks, NODE_NETWORK, NODE_NETWORK_LIMITED, NODE_WITNESS, Parameters, Policy};
pub use protocol::{
    ConnectionKind, Farewell, Input, Output, PeerId, PeerInfo, Protocol, Setup, Token, Totals, Traffic,
};
