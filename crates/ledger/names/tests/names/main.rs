//! The tutorial's own test, and what it has no room for.

#![allow(clippy::unwrap_used, clippy::wildcard_imports, reason = "tests; the guide's code is included here")]

mod engines;
mod model;
mod rules;

include!(concat!(env!("OUT_DIR"), "/three_nodes.rs"));
