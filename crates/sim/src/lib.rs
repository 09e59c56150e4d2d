//! The simulator and the chain laws: a network in one thread, from one seed, running the code that ships.
//!
//! ```text
//!   seed ─▶ World ── nodes: driver + protocol + store, as in the product
//!             │      links: delay, bandwidth, cuts, partitions     disks: lose and tear what was not synced
//!             │      workers: hold results back                    time: virtual
//!             └▶ scenario: blocks, payments, rivals, crashes, adversaries ─▶ laws
//! ```
//!
//! To run the laws on your own ledger implement [`Cell`] for it and call [`run`] with many seeds. A failure names the law;
//! the same seed fails again.
//!
//! | law | says |
//! |---|---|
//! | L1 | undo(apply(s, b)) = s, byte for byte |
//! | L2 | the state depends on the head, not on the path to it |
//! | L3 | replay from genesis = what was built step by step |
//! | L4 | what `build` makes, `execute` accepts |
//! | L5 | building and checking have no side effects |
//! | L7 | a crash at any moment restarts at a consistent state; nothing acknowledged is lost |
//! | L8 | invalid is not a fault; a mutated body cannot ban the honest block of the same id |
//! | L9 | what a reorganisation disconnects returns to the pool or conflicts with the change |
//! | L10 | the same seed, the same trace, whatever order workers finish in |
//! | L12 | consumers of events end with the same table under duplication and crashes |
//!
//! Invariant: nothing here reads a clock, a socket or a disk.

mod cell;
pub mod cells;
mod consumer;
mod laws;
mod node;
mod random;
mod scenario;
mod workers;
mod world;

pub use cell::{Cell, Choice, Model};
pub use random::Random;
pub use scenario::{LEAST, Report, run};
pub use workers::HeldBack;
pub use world::{Counts, World};
