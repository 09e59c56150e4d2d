//! `revm` with the rules that Ethereum has and it lacks.
//!
//! - EIP-7610: a contract is not created where storage is, on any fork;
//! - the base fee may be paid to a collector instead of being burnt, where a chain says so;
//! - system calls have 30,000,000 gas on every fork that makes them (EIP-4788, EIP-2935, EIP-7002, EIP-7251).

use core::marker::PhantomData;

use alloy_primitives::{Address, Bytes, TxKind, U256};
use chainwright_chain::Fault;
use revm::context::result::{EVMError, ExecutionResult, HaltReason};
use revm::context::{BlockEnv, CfgEnv, Context, ContextSetters, ContextTr, FrameStack, JournalTr, TxEnv};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult, MainBuilder, SYSTEM_ADDRESS,
    post_execution,
};
use revm::inspector::{InspectorEvmTr, InspectorHandler, NoOpInspector};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CreateInputs, CreateOutcome, FrameInput, Gas, InstructionResult, InterpreterResult};
use revm::primitives::constants::CALL_STACK_LIMIT;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use revm::{Inspector, Journal};

use super::bound::{self, Bound};
use super::error::TransactionError;
use super::precompiles::{MovedPrecompiles, PlacedPrecompiles};
use crate::state::{Overlay, StateError};

/// Gas of a system call; it counts towards no limit.
const SYSTEM_CALL_GAS: u64 = 30_000_000;

/// What inspectors see of the machine.
pub type MachineContext<D = Overlay> = Context<BlockEnv, TxEnv, CfgEnv, D, Journal<D>, Bound>;

/// What `revm` says when it cannot execute a transaction at all.
pub(super) type MachineError = EVMError<StateError>;

type Core<I> = revm::context::Evm<
    MachineContext,
    I,
    EthInstructions<EthInterpreter, MachineContext>,
    PlacedPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// The virtual machine on top of a state, for one block.
pub struct Machine<I = NoOpInspector> {
    core: Core<I>,
    collector: Option<Address>,
}

/// What a transaction did: its result, and the changes that wait for [`Machine::commit`].
pub struct Outcome {
    /// Success, revert or halt; gas, logs, output.
    pub result: ExecutionResult<HaltReason>,
    /// Everything that was looked at or changed.
    pub changes: EvmState,
}

impl Machine {
    /// A machine that nobody watches.
    pub fn new(overlay: Overlay, cfg: CfgEnv, block: BlockEnv, collector: Option<Address>) -> Self {
        Self::watched(overlay, (cfg, block), collector, NoOpInspector)
    }
}

impl<I> Machine<I> {
    /// A machine whose every step an inspector may follow, see [`Machine::inspect`].
    pub fn watched(
        overlay: Overlay,
        env: (CfgEnv, BlockEnv),
        collector: Option<Address>,
        inspector: I,
    ) -> Self {
        let (cfg, block) = env;
        let core = MachineContext::new(overlay, cfg.spec)
            .with_block(block)
            .with_cfg(cfg)
            .build_mainnet_with_inspector(inspector);
        let precompiles = core.precompiles.clone().into();
        Self { core: core.with_precompiles(precompiles), collector }
    }

    /// The same machine, whose executions somebody may end: they give [`TransactionError::Interrupted`] then.
    #[must_use]
    pub fn bounded(mut self, bound: Bound) -> Self {
        if bound.is_set() {
            bound::watch_jumps(&mut self.core.instruction);
        }
        self.core.ctx.chain = bound;
        self
    }

    /// The same machine with precompiled contracts elsewhere.
    #[must_use]
    pub fn with_precompiles(mut self, moved: MovedPrecompiles) -> Self {
        self.core.precompiles.moved = moved;
        self
    }

    /// The machine's own rules, to be changed between transactions; the fork stays.
    pub fn cfg_mut(&mut self) -> &mut CfgEnv {
        &mut self.core.ctx.cfg
    }

    /// The block as contracts see it, to be changed between transactions.
    pub fn block_mut(&mut self) -> &mut BlockEnv {
        &mut self.core.ctx.block
    }

    /// The state.
    pub fn overlay(&mut self) -> &mut Overlay {
        &mut self.core.ctx.journaled_state.database
    }

    /// The state; the machine has done its work.
    pub fn into_overlay(self) -> Overlay {
        self.core.ctx.journaled_state.database
    }

    /// The state and the inspector; the machine has done its work.
    pub fn into_parts(self) -> (Overlay, I) {
        (self.core.ctx.journaled_state.database, self.core.inspector)
    }

    /// The same state under another inspector.
    #[must_use]
    pub fn with_inspector<J>(self, inspector: J) -> Machine<J> {
        Machine { core: self.core.with_inspector(inspector), collector: self.collector }
    }

    /// The inspector.
    pub fn inspector(&mut self) -> &mut I {
        &mut self.core.inspector
    }

    /// The block as contracts see it.
    pub fn block(&self) -> &BlockEnv {
        &self.core.ctx.block
    }

    /// The machine's own rules.
    pub fn cfg(&self) -> &CfgEnv {
        &self.core.ctx.cfg
    }

    /// Executes a transaction; nothing is changed before [`Machine::commit`].
    ///
    /// # Errors
    /// Why it is not valid here, or a fault of the disk.
    pub fn transact(&mut self, tx: TxEnv) -> Result<Outcome, TransactionError> {
        self.core.ctx.set_tx(tx);
        let result = Steps(PhantomData).run(self);
        self.settle(result)
    }

    /// Calls a contract on the system's behalf: no sender pays, no nonce moves.
    ///
    /// # Errors
    /// A fault of the disk.
    pub fn system_call(&mut self, contract: Address, data: Bytes) -> Result<Outcome, TransactionError> {
        self.core.ctx.set_tx(TxEnv {
            caller: SYSTEM_ADDRESS,
            kind: TxKind::Call(contract),
            data,
            gas_limit: SYSTEM_CALL_GAS,
            ..TxEnv::default()
        });
        let result = Steps(PhantomData).run_system_call(self);
        self.settle(result)
    }

    fn settle(
        &mut self,
        result: Result<ExecutionResult<HaltReason>, MachineError>,
    ) -> Result<Outcome, TransactionError> {
        let ctx = &mut self.core.ctx;
        let changes = ctx.journaled_state.finalize();
        match result {
            Ok(result) => Ok(Outcome { result, changes }),
            Err(error) => Err(TransactionError::new(error, &ctx.tx, &ctx.block)),
        }
    }

    /// Takes over what a transaction changed.
    ///
    /// # Errors
    /// A fault of the disk.
    pub fn commit(&mut self, changes: EvmState) -> Result<(), Fault> {
        self.overlay().apply(changes)
    }

    /// Whether a creation meets storage (EIP-7610). Accounts whose nonce or code forbid it are left to `revm`.
    fn meets_storage(&mut self, create: &CreateInputs, depth: usize) -> Result<bool, StateError> {
        let journal = &mut self.core.ctx.journaled_state;
        let caller = journal.load_account_mut(create.caller())?;
        let nonce = caller.nonce();
        if depth > CALL_STACK_LIMIT as usize || *caller.balance() < create.value() || nonce == u64::MAX {
            return Ok(false);
        }
        let created = create.created_address(nonce);
        let target = journal.load_account(created)?;
        if target.is_loaded_as_not_existing() || !target.info.has_no_code_and_nonce() {
            return Ok(false);
        }
        Ok(journal.database.has_storage(created)?)
    }

    /// What `revm` answers when nonce or code forbid a creation: the caller's nonce moves, all gas is gone.
    fn refuse_creation(&mut self, create: &CreateInputs) -> Result<FrameResult, StateError> {
        self.core.ctx.journaled_state.load_account_mut(create.caller())?.bump_nonce();
        let result = InterpreterResult {
            result: InstructionResult::CreateCollision,
            gas: Gas::new_with_regular_gas_and_reservoir(create.gas_limit(), create.reservoir()),
            output: Bytes::new(),
        };
        Ok(FrameResult::Create(CreateOutcome {
            result,
            address: None,
            charged_create_state_gas: create.charged_create_state_gas(),
        }))
    }
}

impl<I: Inspector<MachineContext>> Machine<I> {
    /// As [`Machine::transact`], with the inspector watching.
    ///
    /// # Errors
    /// As [`Machine::transact`].
    pub fn inspect(&mut self, tx: TxEnv) -> Result<Outcome, TransactionError> {
        self.core.ctx.set_tx(tx);
        let result = Steps(PhantomData).inspect_run(self);
        self.settle(result)
    }
}

impl<I> EvmTr for Machine<I> {
    type Context = MachineContext;
    type Instructions = EthInstructions<EthInterpreter, MachineContext>;
    type Precompiles = PlacedPrecompiles;
    type Frame = EthFrame<EthInterpreter>;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>) {
        self.core.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Self::Frame>)
    {
        self.core.all_mut()
    }

    fn frame_init(
        &mut self,
        init: FrameInit,
    ) -> Result<FrameInitResult<'_, Self::Frame>, ContextDbError<Self::Context>> {
        if self.core.ctx.chain.is_over() {
            return Err(ContextDbError::<Self::Context>::Custom(bound::INTERRUPTED.into()));
        }
        if let FrameInput::Create(create) = &init.frame_input
            && self.meets_storage(create, init.depth)?
        {
            return Ok(ItemOrResult::Result(self.refuse_creation(create)?));
        }
        self.core.frame_init(init)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Self::Frame>, ContextDbError<Self::Context>> {
        self.core.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.core.frame_return_result(result)
    }
}

impl<I: Inspector<MachineContext>> InspectorEvmTr for Machine<I> {
    type Inspector = I;

    fn all_inspector(
        &self,
    ) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>, &Self::Inspector)
    {
        self.core.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut Self::Context,
        &mut Self::Instructions,
        &mut Self::Precompiles,
        &mut FrameStack<Self::Frame>,
        &mut Self::Inspector,
    ) {
        self.core.all_mut_inspector()
    }
}

/// The steps of a transaction: Ethereum's, but for who gets the base fee.
struct Steps<I>(PhantomData<I>);

impl<I> Handler for Steps<I> {
    type Evm = Machine<I>;
    type Error = MachineError;
    type HaltReason = HaltReason;

    fn reward_beneficiary(&self, evm: &mut Self::Evm, result: &mut FrameResult) -> Result<(), MachineError> {
        let gas = *result.gas();
        post_execution::reward_beneficiary(&mut evm.core.ctx, &gas)?;
        let Some(collector) = evm.collector else { return Ok(()) };
        let ctx = &mut evm.core.ctx;
        if ctx.cfg.spec.is_enabled_in(SpecId::LONDON) && !ctx.cfg.disable_fee_charge {
            let fee = U256::from(ctx.block.basefee) * U256::from(gas.used());
            ctx.journal_mut().load_account_mut(collector)?.incr_balance(fee);
        }
        Ok(())
    }
}

impl<I: Inspector<MachineContext>> InspectorHandler for Steps<I> {
    type IT = EthInterpreter;
}
