//! Requests to the consensus layer (EIP-7685): deposits, withdrawals, consolidations, in this order.

use alloy_eips::eip6110::DEPOSIT_REQUEST_TYPE;
use alloy_eips::eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE};
use alloy_eips::eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Log, b256};
use chainwright_chain::{Reason, Reject};

use super::block::Executor;
use super::error::TransactionError;
use crate::types::EvmReceipt;

/// `DepositEvent(bytes,bytes,bytes,bytes,bytes)` (EIP-6110 § Definitions).
const DEPOSIT_EVENT: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// Offset and length of each field in the event's data: public key, credentials, amount, signature, index.
const DEPOSIT_FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// Length of the event's data.
const DEPOSIT_EVENT_LENGTH: usize = 576;

impl<I> Executor<'_, I> {
    /// What Prague's contracts ask of the consensus layer; empty before Prague.
    ///
    /// # Errors
    /// [`Reject::Invalid`] when a deposit's log has the wrong layout, or a system contract has no code or fails.
    pub(super) fn requests(&mut self) -> Result<Vec<Bytes>, Reject> {
        let mut requests = Vec::new();
        let mut push = |kind: u8, data: Vec<u8>| {
            if !data.is_empty() {
                requests.push(Bytes::from([&[kind], data.as_slice()].concat()));
            }
        };
        push(DEPOSIT_REQUEST_TYPE, deposits(self.config.deposit_contract, &self.receipts)?);
        push(WITHDRAWAL_REQUEST_TYPE, self.ask(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS)?);
        push(CONSOLIDATION_REQUEST_TYPE, self.ask(CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS)?);
        Ok(requests)
    }

    /// Calls a contract that must be there and must not fail (EIP-7002, EIP-7251 § Block processing).
    fn ask(&mut self, contract: Address) -> Result<Vec<u8>, Reject> {
        let row = self.machine.overlay().account(contract)?;
        if row.is_none_or(|row| row.code_hash == KECCAK256_EMPTY) {
            let detail = format!("system contract {contract} has no code");
            return Err(Reject::Invalid(Reason::with("execution-system-contract-empty", detail)));
        }
        let outcome = self.machine.system_call(contract, Bytes::new()).map_err(system_error)?;
        if !outcome.result.is_success() {
            let detail = format!("system call to {contract} failed");
            return Err(Reject::Invalid(Reason::with("execution-system-call-failed", detail)));
        }
        self.machine.commit(outcome.changes)?;
        Ok(outcome.result.into_output().unwrap_or_default().into())
    }
}

/// System calls are checked for nothing, so what stops one is hardly ever the block's fault.
pub(super) fn system_error(error: TransactionError) -> Reject {
    error.reject("execution-system-call-failed", ToString::to_string)
}

/// All deposits of a block, one after another.
fn deposits(contract: Option<Address>, receipts: &[EvmReceipt]) -> Result<Vec<u8>, Reject> {
    let mut found = Vec::new();
    let Some(contract) = contract else { return Ok(found) };
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    for log in logs.filter(|log| log.address == contract && log.topics().first() == Some(&DEPOSIT_EVENT)) {
        read_deposit(log, &mut found).ok_or(Reject::invalid("execution-deposit-layout"))?;
    }
    Ok(found)
}

/// Reads a log whose layout must be that of the one deposit contract (EIP-6110 § Block validity).
fn read_deposit(log: &Log, found: &mut Vec<u8>) -> Option<()> {
    let data: &[u8; DEPOSIT_EVENT_LENGTH] = log.data.data.as_ref().try_into().ok()?;
    let word = |at: usize| -> Option<usize> {
        let (high, low) = data.get(at..at + 32)?.split_at(24);
        let low = u64::from_be_bytes(low.try_into().ok()?);
        high.iter().all(|byte| *byte == 0).then_some(low as usize)
    };
    for (position, (offset, length)) in DEPOSIT_FIELDS.into_iter().enumerate() {
        if word(position * 32)? != offset || word(offset)? != length {
            return None;
        }
        found.extend_from_slice(data.get(offset + 32..offset + 32 + length)?);
    }
    Some(())
}

/// What the header commits to: SHA-256 over the hashes of all requests (EIP-7685 § Block Header).
pub fn requests_hash(requests: &[Bytes]) -> B256 {
    Requests::new(requests.to_vec()).requests_hash()
}
