//! State, blocks and journal on disk.
