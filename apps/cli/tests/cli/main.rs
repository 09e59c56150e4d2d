//! The real binary, as people use it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "these are tests; a missing value is a failure"
)]

mod chain_files;
mod dev;
mod genesis;
mod import;
mod personality;
mod rows;
mod run;
