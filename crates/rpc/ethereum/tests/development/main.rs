//! Methods of development chains: what each does, and that a chain stays itself through snapshots, changes by hand and restarts.

#![allow(clippy::unwrap_used, reason = "tests")]

mod blocks;
mod node;
mod state;
mod travel;
