//! The cells this project ships, as the laws see them.

mod evm;
mod names;
mod utxo;
mod utxo_model;

pub use evm::{EvmModel, EvmOnPow, EvmOnSolo};
pub use names::{NamesModel, NamesOnPow, NamesOnSolo};
pub use utxo::{UtxoOnPow, UtxoOnSolo};
pub use utxo_model::UtxoModel;
