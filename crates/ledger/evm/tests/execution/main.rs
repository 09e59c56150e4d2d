//! What the official vectors do not show: faults of the disk, the way back, chains' own fee policies, calls, replays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod chain;
mod faults;
mod rewards;
