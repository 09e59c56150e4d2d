//! Calls that change nothing: what a caller asks for as the machine takes it, and what comes of it in geth's words.
//!
//! Source: go-ethereum 1.16, `internal/ethapi` `DoCall`, `transaction_args.go`.

use alloy_eips::BlockId;
use alloy_primitives::{Bytes, U256};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest};
use chainwright_evm::execute::{
    Machine, MachineContext, MovedPrecompiles, Outcome, TransactionError, block_environment, call_rules,
    machine_rules,
};
use chainwright_evm::state::Overlay;
use chainwright_rpc::{Call, RpcError};
use revm::Inspector;
use revm::bytecode::opcode::OpCode;
use revm::context::either::Either;
use revm::context::result::{ExecutionResult, HaltReason, OutOfGasError};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::{Cfg as _, ContextTr as _, JournalTr as _};
use revm::inspector::NoOpInspector;
use revm::interpreter::interpreter_types::Jumps as _;
use revm::interpreter::{Interpreter, STACK_LIMIT};
use serde_json::json;

use crate::chain::{fault, server_error};
use crate::dialect::Context;
use crate::limits::Deadline;
use crate::supposed::{block_override, suppose};

/// geth's code for a call that reverted.
const REVERTED: i32 = 3;

/// A state and a block to call in.
pub(crate) struct Scene {
    pub(crate) overlay: Overlay,
    pub(crate) block: BlockEnv,
    rules: CfgEnv,
    precompiles: MovedPrecompiles,
    deadline: Deadline,
}

impl Scene {
    /// After the block a caller means, with what the caller supposes.
    pub(crate) fn new(
        context: &Context,
        block: BlockId,
        state: Option<StateOverride>,
        supposed: Option<BlockOverrides>,
    ) -> Result<Self, RpcError> {
        Self::on(context, block, None, state, supposed)
    }

    /// The same on another state than the one after the block.
    pub(crate) fn on(
        context: &Context,
        block: BlockId,
        start: Option<Overlay>,
        state: Option<StateOverride>,
        supposed: Option<BlockOverrides>,
    ) -> Result<Self, RpcError> {
        let view = context.chain.view(block)?;
        let (ledger, header) = (context.chain.ledger(), view.headers.header());
        let config = ledger.config();
        let env = block_environment(config, config.fork(header), header);
        let mut block = block_override(supposed.unwrap_or_default())?.applied(env);
        // The rules are those of the number and the time that are supposed.
        let (number, time) = (block.number.saturating_to(), block.timestamp.saturating_to());
        let fork = config.forks.at(number, time, config.is_merged(header));
        if let Some(blobs) = config.blob_params(fork).filter(|_| block.blob_excess_gas_and_price.is_none()) {
            let fraction = u64::try_from(blobs.update_fraction).unwrap_or(u64::MAX);
            block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice::new(0, fraction));
        }
        let mut overlay = start.unwrap_or_else(|| ledger.overlay(&view));
        let rules = machine_rules(config, fork);
        let precompiles = suppose(&mut overlay, &rules, state.unwrap_or_default())?;
        let deadline = Deadline::after(&context.host, context.limits.time);
        Ok(Self { overlay, block, rules, precompiles, deadline })
    }

    /// The same, until the node stops.
    pub(crate) fn during(mut self, call: &Call) -> Self {
        self.deadline = self.deadline.during(call);
        self
    }

    /// The same with another time to end.
    pub(crate) fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// Why a call was not executed.
    pub(crate) fn refused(
        &self,
        error: TransactionError,
        words: impl FnOnce(TransactionError) -> String,
    ) -> RpcError {
        match error {
            TransactionError::Fault(error) => fault(error),
            TransactionError::Interrupted => self.deadline.error(),
            other => server_error(words(other)),
        }
    }

    /// The most gas a transaction in a block may ask for (EIP-7825).
    pub(crate) fn transaction_gas_max(&self) -> u64 {
        self.rules.tx_gas_limit_cap()
    }

    /// Executes a call on a copy of the state.
    pub(crate) fn execute(&self, call: TxEnv) -> Result<Outcome, TransactionError> {
        self.inspect(call, NoOpInspector).map(|(outcome, _)| outcome)
    }

    /// The last operation of a call that halted, for words that name it.
    pub(crate) fn last(&self, call: TxEnv) -> Option<Last> {
        self.inspect(call, Last::default()).ok().map(|(_, last)| last)
    }

    /// As [`Scene::execute`], with somebody watching.
    pub(crate) fn inspect<I>(&self, call: TxEnv, inspector: I) -> Result<(Outcome, I), TransactionError>
    where
        I: Inspector<MachineContext>,
    {
        let names_price = call.gas_price != 0;
        let mut block = self.block.clone();
        if !names_price {
            block.basefee = 0;
        }
        let pays_no_blobs = !call.blob_hashes.is_empty() && call.max_fee_per_blob_gas == 0;
        if let Some(blobs) = block.blob_excess_gas_and_price.as_mut().filter(|_| pays_no_blobs) {
            blobs.blob_gasprice = 0;
        }
        let rules = call_rules(self.rules.clone(), names_price);
        let mut machine = Machine::watched(self.overlay.clone(), (rules, block), None, inspector)
            .bounded(self.deadline.bound())
            .with_precompiles(self.precompiles.clone());
        let outcome = machine.inspect(call)?;
        Ok((outcome, machine.into_parts().1))
    }
}

/// What a request calls with.
pub(crate) fn input(request: &TransactionRequest) -> Result<Bytes, RpcError> {
    match (&request.input.input, &request.input.data) {
        (Some(input), Some(data)) if input != data => {
            let words = "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data";
            Err(server_error(words))
        }
        (input, data) => Ok(input.clone().or_else(|| data.clone()).unwrap_or_default()),
    }
}

/// A request as the machine takes it; what it leaves open is nothing, and gas the most there is.
pub(crate) fn environment(context: &Context, request: &TransactionRequest) -> Result<TxEnv, RpcError> {
    let chain_id = context.chain.ledger().config().chain_id;
    if let Some(wrong) = request.chain_id.filter(|id| *id != chain_id) {
        return Err(server_error(format!("chainId does not match node's (have={wrong}, want={chain_id})")));
    }
    let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && dynamic {
        let words = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(server_error(words));
    }
    let fee_cap = request.gas_price.or(request.max_fee_per_gas).unwrap_or_default();
    let tip = request.max_priority_fee_per_gas.unwrap_or_default();
    let authorizations = request.authorization_list.clone().unwrap_or_default();
    let blobs = request.blob_versioned_hashes.clone().unwrap_or_default();
    let tx_type = match () {
        () if !authorizations.is_empty() => 4,
        () if !blobs.is_empty() => 3,
        () if dynamic => 2,
        () if request.access_list.is_some() => 1,
        () => 0,
    };
    let gas_max = context.limits.gas_max();
    Ok(TxEnv {
        tx_type,
        caller: request.from.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(gas_max).min(gas_max),
        gas_price: fee_cap,
        kind: request.to.unwrap_or_default(),
        value: request.value.unwrap_or_default(),
        data: input(request)?,
        nonce: request.nonce.unwrap_or_default(),
        chain_id: Some(chain_id),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: (tx_type >= 2).then_some(tip),
        blob_hashes: blobs,
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: authorizations.into_iter().map(Either::Left).collect(),
    })
}

/// What a call gave, or why it failed.
pub(crate) fn output(
    result: ExecutionResult,
    last: impl FnOnce() -> Option<Last>,
) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(server_error(halted(&reason, last))),
    }
}

/// The error of a call that reverted.
pub(crate) fn reverted(output: &Bytes) -> RpcError {
    let words = reason(output)
        .map_or_else(|| "execution reverted".to_owned(), |reason| format!("execution reverted: {reason}"));
    RpcError::new(REVERTED, words).with_data(json!(output))
}

/// Why the machine stopped, as geth says it (`core/vm/errors.go`).
pub(crate) fn halted(reason: &HaltReason, last: impl FnOnce() -> Option<Last>) -> String {
    match reason {
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => {
            let words = |last: Last| format!("invalid opcode: {}", operation(last.op));
            last().map_or_else(|| "invalid opcode".into(), words)
        }
        HaltReason::StackUnderflow => last().map_or_else(|| "stack underflow".into(), Last::underflow),
        HaltReason::StackOverflow => last().map_or_else(|| "stack limit reached".into(), Last::overflow),
        HaltReason::InvalidJump => "invalid jump destination".into(),
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow".into(),
        HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".into(),
        HaltReason::OutOfOffset => "return data out of bounds".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".into(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".into(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".into()
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer".into(),
        HaltReason::CallTooDeep => "max call depth exceeded".into(),
        other => other.to_string(),
    }
}

/// How geth calls an operation (`core/vm/opcodes.go`).
pub(crate) fn operation(op: u8) -> String {
    OpCode::new(op).map_or_else(|| format!("opcode {op:#x} not defined"), |op| op.as_str().to_owned())
}

/// The last operation of the outermost call, for words that name it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    pub(crate) op: u8,
    /// Words on the stack in front of it.
    pub(crate) stack: usize,
}

impl Last {
    fn words(self) -> (usize, usize) {
        OpCode::new(self.op).map_or((0, 0), |op| (op.inputs().into(), op.outputs().into()))
    }

    /// Too few words on the stack.
    pub(crate) fn underflow(self) -> String {
        format!("stack underflow ({} <=> {})", self.stack, self.words().0)
    }

    /// Too many words on the stack.
    pub(crate) fn overflow(self) -> String {
        let (inputs, outputs) = self.words();
        format!("stack limit reached {} ({})", self.stack, (STACK_LIMIT + inputs).saturating_sub(outputs))
    }
}

impl Inspector<MachineContext> for Last {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext) {
        if context.journal_ref().depth() <= 1 {
            *self = Self { op: interpreter.bytecode.opcode(), stack: interpreter.stack.len() };
        }
    }
}

/// Solidity's `Error(string)` and `Panic(uint256)` (geth, `accounts/abi` `UnpackRevert`).
fn reason(output: &[u8]) -> Option<String> {
    let (selector, rest) = output.split_first_chunk::<4>()?;
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let word = |at: usize| U256::from_be_slice(rest.get(at..at.checked_add(32)?)?).try_into().ok();
            let start: usize = word(0)?;
            let length: usize = word(start)?;
            let from = start.checked_add(32)?;
            let text = rest.get(from..from.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => {
            let code = U256::try_from_be_slice(rest.get(..32)?)?;
            Some(panic_words(code).map_or_else(|| format!("unknown panic code: {code:#x}"), Into::into))
        }
        _ => None,
    }
}

/// geth, `accounts/abi` `panicReasons`.
fn panic_words(code: U256) -> Option<&'static str> {
    Some(match code.try_into().unwrap_or(u8::MAX) {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}
