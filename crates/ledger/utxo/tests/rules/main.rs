//! The ledger behind the seam: whole chains, every reject word, the pool, statistics.

mod chain;
mod coins;
mod deployments;
mod mainnet;
mod mining;
mod model;
mod pool;
mod signed;
mod spend;
mod words;
