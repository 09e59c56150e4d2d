//! What whoever makes blocks on a development chain wants them to say, beside what the engine decides.

use alloy_consensus::Header;
use alloy_primitives::B256;

use crate::config::ChainConfig;
use crate::rules;
use crate::types::EvmHeader;

/// Wishes for blocks to come. They change what is built, never what is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The base fee of a child of this block, in wei; of no other block.
    pub base_fee: Option<(B256, u64)>,
    /// The gas limit of every block from now on.
    pub gas_limit: Option<u64>,
}

impl Wishes {
    /// Puts them into the header of a block that is being built.
    pub(crate) fn fulfil(&self, header: &mut Header) {
        if let Some((parent, base_fee)) = self.base_fee
            && parent == header.parent_hash
        {
            header.base_fee_per_gas = header.base_fee_per_gas.map(|_| base_fee);
        }
        header.gas_limit = self.gas_limit.unwrap_or(header.gas_limit);
    }

    /// The base fee of the block after `head`, in wei; `None` before London.
    pub(crate) fn base_fee(&self, config: &ChainConfig, head: &EvmHeader) -> Option<u64> {
        let ruled = rules::base_fee(config, head)?;
        Some(self.base_fee.filter(|(parent, _)| *parent == head.hash()).map_or(ruled, |(_, wanted)| wanted))
    }
}
