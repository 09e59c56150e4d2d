//! Official vectors and real blocks, one module per family.

mod addresses;
mod bip341;
mod blocks;
mod decodescript;
mod error_names;
mod mutation;
mod script_tests;
mod sighash;
mod support;
mod taproot_ref;
mod transactions;
