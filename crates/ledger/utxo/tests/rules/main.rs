//! The ledger behind the seam: whole chains, every reject word, the pool, statistics.

mod chain;
mod mining;
mod spend;
