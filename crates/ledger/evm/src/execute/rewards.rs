//! Balances that change without a transaction: rewards before the merge, withdrawals after it, the DAO fork.

use alloy_consensus::Header;
use alloy_consensus::constants::ETH_TO_WEI;
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::U256;
use chainwright_chain::Fault;

use super::block::Executor;
use crate::config::{Fork, SealRule};
use crate::state::AccountRow;

/// Wei a block's beneficiary gets besides fees (EIP-649, EIP-1234); nothing from the merge on (EIP-3675).
pub fn block_reward(fork: Fork) -> u128 {
    match fork {
        fork if fork >= Fork::Paris => 0,
        fork if fork >= Fork::Constantinople => 2 * ETH_TO_WEI,
        fork if fork >= Fork::Byzantium => 3 * ETH_TO_WEI,
        _ => 5 * ETH_TO_WEI,
    }
}

impl<I> Executor<'_, I> {
    /// Rewards of the block and of the ommers it names (yellow paper, § 11.3).
    pub(super) fn pay_rewards(&mut self, ommers: &[Header]) -> Result<(), Fault> {
        let reward = block_reward(self.fork);
        if reward == 0 {
            return Ok(());
        }
        let reward = U256::from(reward);
        let number = self.header.number;
        let beneficiary = self.header.beneficiary;
        let bonus = (reward / U256::from(32)) * U256::from(ommers.len());
        self.pay(beneficiary, reward + bonus)?;
        for ommer in ommers {
            // The rules of bodies allow a distance of one to six.
            let share = 8_u64.saturating_sub(number.saturating_sub(ommer.number));
            self.pay(ommer.beneficiary, reward * U256::from(share) / U256::from(8))?;
        }
        Ok(())
    }

    /// EIP-4895; amounts are in gwei. A withdrawal of nothing still clears an empty account.
    pub(super) fn pay_withdrawals(&mut self, withdrawals: &[Withdrawal]) -> Result<(), Fault> {
        withdrawals.iter().try_for_each(|withdrawal| self.pay(withdrawal.address, withdrawal.amount_wei()))
    }

    fn pay(&mut self, address: alloy_primitives::Address, amount: U256) -> Result<(), Fault> {
        let clears_empty = self.clears_empty();
        self.machine.overlay().pay(address, amount, clears_empty)
    }

    /// EIP-161: what is touched and empty goes.
    fn clears_empty(&self) -> bool {
        self.fork >= Fork::SpuriousDragon
    }

    /// Moves the balances of the DAO and its children before the first transaction of the fork's block (EIP-779; geth,
    /// `consensus/misc` `ApplyDAOHardFork`).
    pub(super) fn move_dao(&mut self) -> Result<(), Fault> {
        let at_fork = |dao: &crate::config::DaoFork| dao.support && dao.block == self.header.number;
        if self.config.seal != SealRule::Ethereum || !self.config.dao.as_ref().is_some_and(at_fork) {
            return Ok(());
        }
        let clears_empty = self.clears_empty();
        let overlay = self.machine.overlay();
        for address in DAO_HARDFORK_ACCOUNTS {
            let balance = overlay.account(address)?.map_or(U256::ZERO, |row| row.balance);
            overlay.pay(DAO_HARDFORK_BENEFICIARY, balance, clears_empty)?;
            if let Some(row) = overlay.account(address)? {
                let drained = AccountRow { balance: U256::ZERO, ..row };
                overlay.set_account(address, (!clears_empty || !drained.is_empty()).then_some(drained))?;
            } else {
                overlay.pay(address, U256::ZERO, clears_empty)?;
            }
        }
        Ok(())
    }
}
