//! geth's log of steps (`structLogs`): every operation of the machine with its gas, its stack and what else is asked for.
//!
//! Source: go-ethereum 1.16, `eth/tracers/logger/logger.go`. As there, an operation that cannot be paid or has too few words on
//! the stack carries an error; one that fails later does not. What an operation that could not be paid would have cost is
//! known here as far as it is the same everywhere.

use std::collections::BTreeMap;

use alloy_primitives::map::AddressMap;
use alloy_primitives::{Bytes, U256};
use alloy_rpc_types_trace::geth::GethDefaultTracingOptions;
use chainwright_evm::execute::MachineContext;
use revm::Inspector;
use revm::bytecode::opcode;
use revm::context::result::ExecutionResult;
use revm::context_interface::{ContextTr, JournalTr};
use revm::interpreter::instructions::gas_table_spec;
use revm::interpreter::interpreter_types::{
    InputsTr as _, Jumps as _, LoopControl as _, MemoryTr as _, ReturnData as _,
};
use revm::interpreter::{CreateInputs, CreateOutcome, InstructionResult, Interpreter};
use serde_json::{Map, Value, json};

use crate::call::{self, Last};

/// The slots of a contract that were looked at.
type Slots = BTreeMap<U256, U256>;

/// What is recorded of one operation.
#[derive(Clone, Debug, Default)]
struct Step {
    pc: usize,
    op: u8,
    gas: u64,
    cost: u64,
    depth: usize,
    refund: i64,
    error: Option<String>,
    stack: Option<Vec<U256>>,
    memory: Option<Vec<u8>>,
    returned: Option<Bytes>,
    storage: Option<Slots>,
}

/// The tracer.
#[derive(Debug)]
pub(super) struct Steps {
    options: GethDefaultTracingOptions,
    done: Vec<Step>,
    /// Whether the operation that is being executed is recorded.
    is_open: bool,
    /// Bytes of the steps so far, where they are limited.
    bytes: u64,
    storage: AddressMap<Slots>,
    /// Refunds of the frames that are open, as they stood at their last step.
    refunds: Vec<i64>,
}

impl Steps {
    pub(super) fn new(options: GethDefaultTracingOptions) -> Self {
        let (done, storage, refunds) = Default::default();
        Self { options, done, is_open: false, bytes: 0, storage, refunds }
    }

    /// The whole trace.
    pub(super) fn result(self, result: &ExecutionResult) -> Value {
        let returned = match result {
            ExecutionResult::Success { output, .. } => output.data().clone(),
            ExecutionResult::Revert { output, .. } => output.clone(),
            ExecutionResult::Halt { .. } => Bytes::new(),
        };
        json!({
            "gas": result.tx_gas_used(),
            "failed": !result.is_success(),
            "returnValue": returned,
            "structLogs": self.done.into_iter().map(Step::shown).collect::<Vec<_>>(),
        })
    }

    /// The refund counter of the whole transaction.
    fn refund(&mut self, depth: usize, here: i64) -> i64 {
        self.refunds.resize(depth, 0);
        if let Some(last) = self.refunds.last_mut() {
            *last = here;
        }
        self.refunds.iter().sum()
    }

    /// The slots of a contract after an operation that reads or writes one of them.
    fn slots(&mut self, step: &Step, interpreter: &Interpreter, key: Option<(U256, U256)>) -> Option<Slots> {
        if self.options.disable_storage.unwrap_or_default() {
            return None;
        }
        let (slot, value) = match step.op {
            opcode::SSTORE => key?,
            opcode::SLOAD => (key?.0, interpreter.stack.peek(0).ok()?),
            _ => return None,
        };
        let slots = self.storage.entry(interpreter.input.target_address()).or_default();
        slots.insert(slot, value);
        Some(slots.clone())
    }
}

impl Step {
    /// geth, `structLogLegacy`.
    fn shown(self) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("pc", json!(self.pc));
        put("op", json!(call::operation(self.op)));
        put("gas", json!(self.gas));
        put("gasCost", json!(self.cost));
        put("depth", json!(self.depth));
        if let Some(error) = self.error {
            put("error", json!(error));
        }
        if let Some(stack) = self.stack {
            put("stack", json!(stack));
        }
        if let Some(returned) = self.returned.filter(|returned| !returned.is_empty()) {
            put("returnData", json!(returned));
        }
        if let Some(memory) = self.memory.filter(|memory| !memory.is_empty()) {
            let words = memory.chunks(32).map(alloy_primitives::hex::encode);
            put("memory", json!(words.collect::<Vec<_>>()));
        }
        if let Some(storage) = self.storage {
            let word = |word: &U256| format!("{word:064x}");
            let slots: BTreeMap<_, _> =
                storage.iter().map(|(slot, value)| (word(slot), word(value))).collect();
            put("storage", json!(slots));
        }
        if self.refund > 0 {
            put("refund", json!(self.refund));
        }
        Value::Object(shown)
    }
}

impl Inspector<MachineContext> for Steps {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        let depth = context.journal_ref().depth();
        let refund = self.refund(depth, interpreter.gas.refunded());
        let limit = self.options.limit.unwrap_or_default();
        self.is_open = limit == 0 || self.bytes <= limit;
        if !self.is_open {
            return;
        }
        let options = &self.options;
        let stack = (!options.disable_stack.unwrap_or_default()).then(|| interpreter.stack.data().clone());
        let memory = options.is_memory_enabled().then(|| {
            let size = interpreter.memory.size();
            interpreter.memory.slice_len(0, size).to_vec()
        });
        let returned = options.is_return_data_enabled().then(|| interpreter.return_data.buffer().clone());
        let mut step = Step {
            pc: interpreter.bytecode.pc(),
            op: interpreter.bytecode.opcode(),
            gas: interpreter.gas.remaining(),
            depth,
            refund,
            stack,
            memory,
            returned,
            ..Step::default()
        };
        let key = interpreter.stack.peek(0).ok();
        step.storage = match step.op {
            opcode::SSTORE => {
                let pair = key.zip(interpreter.stack.peek(1).ok());
                self.slots(&step, interpreter, pair)
            }
            // Its value is known when it is done.
            opcode::SLOAD => key.map(|key| Slots::from([(key, U256::ZERO)])),
            _ => None,
        };
        self.done.push(step);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        let Some(mut step) = self.done.pop_if(|_| self.is_open) else { return };
        self.is_open = false;
        step.cost = step.gas.saturating_sub(interpreter.gas.remaining());
        if step.op == opcode::SLOAD {
            let key = step.storage.take().and_then(|slots| slots.into_keys().next());
            step.storage = self.slots(&step, interpreter, key.map(|key| (key, U256::ZERO)));
        }
        let last = Last { op: step.op, stack: interpreter.stack.len() };
        step.error = match interpreter.bytecode.instruction_result() {
            Some(InstructionResult::StackUnderflow) => Some(last.underflow()),
            Some(InstructionResult::StackOverflow) => Some(last.overflow()),
            Some(
                InstructionResult::OutOfGas
                | InstructionResult::MemoryOOG
                | InstructionResult::MemoryLimitOOG
                | InstructionResult::InvalidOperandOOG
                | InstructionResult::ReentrancySentryOOG,
            ) => Some("out of gas".into()),
            _ => None,
        };
        if step.error.is_some() {
            let fixed = gas_table_spec(context.cfg.spec)[usize::from(step.op)];
            step.cost = step.cost.max(u64::from(fixed));
        }
        if self.options.limit.is_some_and(|limit| limit > 0) {
            self.bytes += step.clone().shown().to_string().len() as u64;
        }
        self.done.push(step);
    }

    fn create(&mut self, context: &mut MachineContext, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        // The gas handed over is no part of what the operation costs, unlike a call's.
        let depth = context.journal_ref().depth();
        if let Some(step) = self.done.last_mut().filter(|step| step.depth == depth && depth > 0) {
            step.cost = step.cost.saturating_sub(inputs.gas_limit());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_geths_names() {
        assert_eq!(call::operation(opcode::KECCAK256), "KECCAK256");
        assert_eq!(call::operation(opcode::PUSH0), "PUSH0");
        assert_eq!(call::operation(0x0c), "opcode 0xc not defined");
        assert_eq!(Last { op: opcode::ADD, stack: 0 }.underflow(), "stack underflow (0 <=> 2)");
        assert_eq!(Last { op: opcode::PUSH1, stack: 1024 }.overflow(), "stack limit reached 1024 (1023)");
    }
}
