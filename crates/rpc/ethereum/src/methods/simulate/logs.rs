//! Logs of a call as a simulation shows them: with moved wei among them, if asked for, and numbered through the block.
//!
//! Source: go-ethereum 1.16, `internal/ethapi/logtracer.go`. As there, logs that a revert takes back keep their numbers.

use alloy_primitives::{Address, B256, Log, U256, address, b256};
use chainwright_evm::execute::MachineContext;
use revm::Inspector;
use revm::context_interface::{ContextTr as _, JournalTr as _};
use revm::interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, Interpreter};

use crate::call::Last;

/// Stands for ether (ERC-7528).
const ETHER: Address = address!("0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE");

/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// A log and its number in the block.
pub(super) type Numbered = (u64, Log);

/// Watches a block.
#[derive(Default)]
pub(super) struct Logs {
    shows_transfers: bool,
    /// Of every frame that is open, the transaction's first.
    open: Vec<Vec<Numbered>>,
    done: Vec<Numbered>,
    count: u64,
    last: Last,
}

impl Logs {
    pub(super) fn new(shows_transfers: bool) -> Self {
        Self { shows_transfers, ..Self::default() }
    }

    /// The logs of the call that is over.
    pub(super) fn take(&mut self) -> Vec<Numbered> {
        self.open.clear();
        core::mem::take(&mut self.done)
    }

    /// The last operation of the call that is over.
    pub(super) fn last(&self) -> Last {
        self.last
    }

    fn push(&mut self, log: Log) {
        if let Some(frame) = self.open.last_mut() {
            frame.push((self.count, log));
            self.count += 1;
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.shows_transfers && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            self.push(Log::new_unchecked(ETHER, topics, B256::from(value).into()));
        }
    }

    fn close(&mut self, is_kept: bool) {
        let logs = self.open.pop().filter(|_| is_kept).unwrap_or_default();
        self.open.last_mut().unwrap_or(&mut self.done).extend(logs);
    }
}

impl Inspector<MachineContext> for Logs {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        self.last.step(interpreter, context);
    }

    fn log(&mut self, _: &mut MachineContext, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _: &mut MachineContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.open.push(Vec::new());
        let to = if inputs.scheme == CallScheme::CallCode {
            inputs.bytecode_address
        } else {
            inputs.target_address
        };
        if let Some(value) = inputs.value.transfer() {
            self.transfer(inputs.caller, to, value);
        }
        None
    }

    fn call_end(&mut self, _: &mut MachineContext, _: &CallInputs, outcome: &mut CallOutcome) {
        self.close(outcome.result.result.is_ok());
    }

    fn create(&mut self, context: &mut MachineContext, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.open.push(Vec::new());
        if self.shows_transfers && !inputs.value().is_zero() {
            // A fault of the disk comes up again as soon as the creation begins.
            let nonce = context.journal_mut().load_account(inputs.caller()).ok()?.data.info.nonce;
            self.transfer(inputs.caller(), inputs.created_address(nonce), inputs.value());
        }
        None
    }

    fn create_end(&mut self, _: &mut MachineContext, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.close(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
