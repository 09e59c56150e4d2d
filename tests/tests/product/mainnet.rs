//! mainnet
