//! The tutorial's own test, and what it has no room for.

include!(concat!(env!("OUT_DIR"), "/three_nodes.rs"));
