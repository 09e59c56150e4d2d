//! Contracts that the rules call by themselves: a chain that has their forks from the first block on needs them there.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, Bytes};

use super::{Fork, Genesis, GenesisAccount};

impl Genesis {
    /// Adds the contracts of the forks that are active in the first block: beacon roots (EIP-4788), block hashes
    /// (EIP-2935), withdrawal and consolidation requests (EIP-7002, EIP-7251). Without the last two no block is valid
    /// since Prague. Accounts that are there already stay as they are.
    pub fn add_system_contracts(&mut self) {
        let header = &self.header;
        let fork = self.config.forks.at(header.number, header.timestamp, true);
        let contracts: [(Fork, Address, &Bytes); 4] = [
            (Fork::Cancun, eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
            (Fork::Prague, eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
            (
                Fork::Prague,
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE,
            ),
            (
                Fork::Prague,
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
            ),
        ];
        for (_, address, code) in contracts.into_iter().filter(|(needed, ..)| fork >= *needed) {
            let contract = GenesisAccount { nonce: 1, code: code.clone(), ..GenesisAccount::default() };
            self.accounts.entry(address).or_insert(contract);
        }
    }
}
