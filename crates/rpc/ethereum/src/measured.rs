//! A tracer whose memory is bounded: what it keeps is counted as it grows, and an execution that would make it keep too much
//! ends with an error that says so.
//!
//! Counted is what the finished answer takes in memory, about; a step's share is larger than its share of the reply.

use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use chainwright_evm::execute::MachineContext;
use revm::Inspector;
use revm::context_interface::ContextTr;
use revm::context_interface::context::ContextError;
use revm::interpreter::interpreter_types::{Jumps, LoopControl, MemoryTr, ReturnData};
use revm::interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter};

/// What the machine says when a trace grows too large.
const TOO_LARGE: &str = "trace too large";

/// Bytes of a step without its stack, memory and storage.
const STEP_BYTES: usize = 1_000;
/// Bytes of a word in the answer.
const WORD_BYTES: usize = 130;
/// Bytes of a call without its input and output.
const CALL_BYTES: usize = 1_500;
/// Bytes in the answer for a byte of input, output or data of a log.
const BYTE_BYTES: usize = 3;

/// What a tracer keeps of each step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    steps: bool,
    /// Most steps; any number if 0.
    steps_max: u64,
    stack: bool,
    memory: bool,
    storage: bool,
    returned: bool,
}

impl Kept {
    /// What OpenEthereum's `vmTrace` keeps.
    pub(crate) fn machine() -> Self {
        Self { steps: true, ..Self::default() }
    }

    /// What geth's tracers keep under these options.
    pub(crate) fn by(options: &GethDebugTracingOptions) -> Self {
        let name = options.tracer.as_ref().map(|tracer| tracer.as_str().to_owned()).unwrap_or_default();
        let config = &options.config;
        match name.as_str() {
            "" => Self {
                steps: true,
                // A limit counts bytes, of which a step has 60 and more.
                steps_max: config.limit.map_or(0, |limit| limit / 60 + 1),
                stack: !config.disable_stack.unwrap_or_default(),
                memory: config.is_memory_enabled(),
                storage: !config.disable_storage.unwrap_or_default(),
                returned: config.is_return_data_enabled(),
            },
            "erc7562Tracer" => Self { steps: true, stack: true, memory: true, ..Self::default() },
            _ => Self::default(),
        }
    }
}

/// What is said of a trace that ended for its size, if those are the machine's words for it.
pub(crate) fn words(machine: &str, bytes_max: usize) -> Option<String> {
    let less = "ask for less (limit, disableStack, disableStorage) or use callTracer";
    (machine == TOO_LARGE).then(|| format!("trace too large: more than {} MiB; {less}", bytes_max >> 20))
}

/// A tracer, and what it may still keep.
#[derive(Debug)]
pub(crate) struct Measured<I> {
    pub(crate) tracer: I,
    kept: Kept,
    steps: u64,
    bytes_left: usize,
    /// Slots written so far: each such step shows all of them.
    slots: usize,
}

impl<I> Measured<I> {
    pub(crate) fn new(tracer: I, kept: Kept, bytes_max: usize) -> Self {
        Self { tracer, kept, steps: 0, bytes_left: bytes_max, slots: 0 }
    }

    /// What was traced so far; what comes goes into `tracer`, which has what room is left.
    pub(crate) fn next(&mut self, tracer: I) -> I {
        self.steps = 0;
        self.slots = 0;
        core::mem::replace(&mut self.tracer, tracer)
    }

    /// Whether there is room for so many bytes more.
    fn take(&mut self, bytes: usize, context: &mut MachineContext) -> bool {
        if let Some(left) = self.bytes_left.checked_sub(bytes) {
            self.bytes_left = left;
            return true;
        }
        self.bytes_left = 0;
        if context.error().is_ok() {
            *context.error() = Err(ContextError::Custom(TOO_LARGE.into()));
        }
        false
    }

    /// Bytes of the step that comes.
    fn step_bytes(&mut self, interpreter: &Interpreter) -> usize {
        const SLOAD: u8 = 0x54;
        const SSTORE: u8 = 0x55;
        let mut bytes = STEP_BYTES;
        if self.kept.stack {
            bytes += interpreter.stack.len() * WORD_BYTES;
        }
        if self.kept.memory {
            bytes += interpreter.memory.size().div_ceil(32) * WORD_BYTES;
        }
        if self.kept.returned {
            bytes += interpreter.return_data.buffer().len() * BYTE_BYTES;
        }
        if self.kept.storage && matches!(interpreter.bytecode.opcode(), SLOAD | SSTORE) {
            self.slots += 1;
            bytes += self.slots * 2 * WORD_BYTES;
        }
        bytes
    }
}

impl<I: Inspector<MachineContext>> Inspector<MachineContext> for Measured<I> {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        self.tracer.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        if self.kept.steps && (self.kept.steps_max == 0 || self.steps < self.kept.steps_max) {
            self.steps += 1;
            let bytes = self.step_bytes(interpreter);
            if !self.take(bytes, context) {
                interpreter.bytecode.reset_action();
                interpreter.halt_fatal();
                return;
            }
        }
        self.tracer.step(interpreter, context);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        self.tracer.step_end(interpreter, context);
    }

    fn log(&mut self, context: &mut MachineContext, log: Log) {
        self.take(CALL_BYTES + log.data.data.len() * BYTE_BYTES, context);
        self.tracer.log(context, log);
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext, log: Log) {
        if !self.take(CALL_BYTES + log.data.data.len() * BYTE_BYTES, context) {
            interpreter.bytecode.reset_action();
            interpreter.halt_fatal();
        }
        self.tracer.log_full(interpreter, context, log);
    }

    fn call(&mut self, context: &mut MachineContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.take(CALL_BYTES + inputs.input.len() * BYTE_BYTES, context);
        self.tracer.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut MachineContext, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.take(outcome.result.output.len() * BYTE_BYTES, context);
        self.tracer.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut MachineContext, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.take(CALL_BYTES + inputs.init_code().len() * BYTE_BYTES, context);
        self.tracer.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut MachineContext,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.take(outcome.result.output.len() * BYTE_BYTES, context);
        self.tracer.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.tracer.selfdestruct(contract, target, value);
    }
}
