//! What a node says over HTTP: one shell, and the dialects that speak through it.
//!
//! Invariant: only this crate knows JSON; it knows no network and no node but what [`Host`] tells.

mod host;

pub use host::{AddNode, AddedNode, ConnectionType, Host, HostError, NetworkTotals, PeerInfo, PeerSelector};
