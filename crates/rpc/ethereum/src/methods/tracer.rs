//! geth's tracers: our own log of steps, and the others of `revm-inspectors` with what geth 1.16 shows otherwise.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, Log, U256};
use alloy_rpc_types_trace::geth::{GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions};
use chainwright_evm::execute::MachineContext;
use chainwright_evm::state::Overlay;
use chainwright_rpc::{Answer, RpcError};
use revm::Inspector;
use revm::context::result::{HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm::interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde_json::{Value, json};

use super::steps::Steps;
use crate::chain::{fault, server_error};
use crate::shape;

/// A tracer of one transaction.
pub(super) enum Tracer {
    /// `structLogs`.
    Steps(Steps),
    /// Any other.
    Named(Box<DebugInspector>),
}

/// What a transaction did, and where.
pub(super) struct Traced<'a> {
    /// Its place, if it is in a block.
    pub(super) about: Option<TransactionContext>,
    pub(super) environment: &'a TxEnv,
    pub(super) block: &'a BlockEnv,
    pub(super) outcome: &'a ResultAndState<HaltReason>,
    /// Before it.
    pub(super) state: &'a mut Overlay,
}

impl Tracer {
    pub(super) fn new(options: &GethDebugTracingOptions) -> Result<Self, RpcError> {
        if options.tracer.as_ref().is_none_or(|tracer| tracer.as_str().is_empty()) {
            return Ok(Self::Steps(Steps::new(options.config)));
        }
        let mut options = options.clone();
        let is_mux = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer);
        if options.tracer == Some(is_mux)
            && let Some(tracers) = options.tracer_config.0.as_object_mut()
        {
            // These have nothing to configure, and geth does not mind if it is said.
            for name in ["4byteTracer", "noopTracer"] {
                tracers.entry(name).and_modify(|config| *config = Value::Null);
            }
        }
        let tracer = DebugInspector::new(options).map_err(|error| server_error(error.to_string()))?;
        Ok(Self::Named(Box::new(tracer)))
    }

    /// The trace.
    pub(super) fn result(self, of: Traced<'_>) -> Answer {
        let mut tracer = match self {
            Self::Steps(steps) => return Ok(steps.result(&of.outcome.result)),
            Self::Named(tracer) => tracer,
        };
        if let DebugInspector::FlatCallTracer(calls) = &mut *tracer {
            calls.set_transaction_gas_used(of.outcome.result.tx_gas_used());
        }
        let trace = tracer
            .get_result(of.about, of.environment, of.block, of.outcome, of.state)
            .map_err(|error| server_error(error.to_string()))?;
        let mut shown = shape::json_of(&trace)?;
        match &*tracer {
            DebugInspector::CallTracer(..) => without_log_numbers(&mut shown),
            DebugInspector::FlatCallTracer(_) => {
                without_null_results(&mut shown);
                if of.about.is_none() {
                    without_block(&mut shown);
                }
            }
            DebugInspector::PreStateTracer(_, config) if config.is_diff_mode() => {
                without_empty(&mut shown["pre"], of.state)?;
                with_code_hashes(&mut shown["pre"], of.state)?;
                with_new_code_hashes(&mut shown["post"], of)?;
            }
            DebugInspector::PreStateTracer(..) => with_code_hashes(&mut shown, of.state)?,
            _ => {}
        }
        Ok(shown)
    }
}

/// geth 1.16 tells a log's place among the calls of its frame, not its number.
fn without_log_numbers(frame: &mut Value) {
    // A frame may be 1,024 calls deep.
    let mut left = vec![frame];
    while let Some(frame) = left.pop().and_then(Value::as_object_mut) {
        for (name, value) in frame.iter_mut() {
            let Some(values) = value.as_array_mut() else { continue };
            match name.as_str() {
                "calls" => left.extend(values),
                "logs" => values.iter_mut().filter_map(Value::as_object_mut).for_each(|log| {
                    log.remove("index");
                }),
                _ => {}
            }
        }
    }
}

/// geth writes no result of a call that has none.
fn without_null_results(calls: &mut Value) {
    for call in calls.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if call.get("result").is_some_and(Value::is_null) {
            call.remove("result");
        }
    }
}

/// A call that is in no block.
fn without_block(calls: &mut Value) {
    for call in calls.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        call.insert("blockHash".into(), Value::Null);
        call.insert("blockNumber".into(), json!(0));
        call.insert("transactionPosition".into(), json!(0));
    }
}

type Accounts<'a> = Vec<(Address, &'a mut serde_json::Map<String, Value>)>;

fn accounts(shown: &mut Value) -> Accounts<'_> {
    let accounts = shown.as_object_mut().into_iter().flatten();
    accounts
        .filter_map(|(address, account)| Some((address.parse().ok()?, account.as_object_mut()?)))
        .collect()
}

fn code_hash(state: &mut Overlay, address: Address) -> Result<Option<B256>, RpcError> {
    let row = state.account(address).map_err(fault)?;
    Ok(row.map(|row| row.code_hash).filter(|hash| *hash != KECCAK256_EMPTY))
}

/// What was not there before has no state before.
fn without_empty(shown: &mut Value, state: &mut Overlay) -> Result<(), RpcError> {
    let Some(accounts) = shown.as_object_mut() else { return Ok(()) };
    let mut empty = Vec::new();
    for name in accounts.keys() {
        let Ok(address) = name.parse::<Address>() else { continue };
        if state.account(address).map_err(fault)?.is_none_or(|row| row.is_empty()) {
            empty.push(name.clone());
        }
    }
    for name in empty {
        accounts.remove(&name);
    }
    Ok(())
}

fn with_code_hashes(shown: &mut Value, state: &mut Overlay) -> Result<(), RpcError> {
    for (address, account) in accounts(shown) {
        if let Some(hash) = code_hash(state, address)? {
            account.insert("codeHash".into(), json!(hash));
        }
    }
    Ok(())
}

fn with_new_code_hashes(shown: &mut Value, of: Traced<'_>) -> Result<(), RpcError> {
    for (address, account) in accounts(shown) {
        let Some(now) = of.outcome.state.get(&address) else { continue };
        let now = Some(now.info.code_hash).filter(|hash| *hash != KECCAK256_EMPTY);
        if now != code_hash(of.state, address)? {
            account.insert("codeHash".into(), json!(now.unwrap_or_default()));
        }
    }
    Ok(())
}

macro_rules! each {
    ($self:ident.$hook:ident($($argument:expr),*)) => {
        match $self {
            Self::Steps(tracer) => tracer.$hook($($argument),*),
            Self::Named(tracer) => tracer.$hook($($argument),*),
        }
    };
}

impl Inspector<MachineContext> for Tracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        each!(self.initialize_interp(interpreter, context));
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        each!(self.step(interpreter, context));
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        each!(self.step_end(interpreter, context));
    }

    fn log(&mut self, context: &mut MachineContext, log: Log) {
        each!(self.log(context, log));
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext, log: Log) {
        each!(self.log_full(interpreter, context, log));
    }

    fn call(&mut self, context: &mut MachineContext, inputs: &mut CallInputs) -> Option<CallOutcome> {
        each!(self.call(context, inputs))
    }

    fn call_end(&mut self, context: &mut MachineContext, inputs: &CallInputs, outcome: &mut CallOutcome) {
        each!(self.call_end(context, inputs, outcome));
    }

    fn create(&mut self, context: &mut MachineContext, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        each!(self.create(context, inputs))
    }

    fn create_end(
        &mut self,
        context: &mut MachineContext,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        each!(self.create_end(context, inputs, outcome));
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        // Both are inspectors of any machine.
        match self {
            Self::Steps(tracer) => {
                Inspector::<MachineContext>::selfdestruct(tracer, contract, target, value);
            }
            Self::Named(tracer) => {
                Inspector::<MachineContext>::selfdestruct(&mut **tracer, contract, target, value);
            }
        }
    }
}
