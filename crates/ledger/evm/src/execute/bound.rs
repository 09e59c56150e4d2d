//! An execution that somebody may end: calls of RPC have a time, blocks of the chain have not.
//!
//! No clock is read here: whoever sets the bound says when it is over. It is asked at jumps and whenever a call or a creation
//! begins, so between two questions lies no more than straight-line code, whose work its length and its gas bound.

use core::fmt;
use std::sync::Arc;

use revm::context_interface::ContextTr;
use revm::context_interface::context::ContextError;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::control;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionExecResult, InstructionResult};

use super::machine::MachineContext;

/// What the machine says when it was ended.
pub(super) const INTERRUPTED: &str = "execution interrupted";

/// Questions are asked at every so many jumps.
const JUMPS: u8 = 64;

const JUMP: u8 = 0x56;
const JUMPI: u8 = 0x57;

/// Says whether an execution has to end.
pub type IsOver = Arc<dyn Fn() -> bool + Send + Sync>;

/// When an execution ends early; never, unless set.
#[derive(Clone, Default)]
pub struct Bound {
    is_over: Option<IsOver>,
    jumps: u8,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("is_set", &self.is_over.is_some()).finish_non_exhaustive()
    }
}

impl Bound {
    /// A bound.
    pub fn new(is_over: IsOver) -> Self {
        Self { is_over: Some(is_over), jumps: 0 }
    }

    /// Whether somebody may end the execution at all.
    pub fn is_set(&self) -> bool {
        self.is_over.is_some()
    }

    /// Asks.
    pub fn is_over(&self) -> bool {
        self.is_over.as_ref().is_some_and(|is_over| is_over())
    }

    fn is_over_after_jump(&mut self) -> bool {
        self.jumps = self.jumps.wrapping_add(1);
        self.jumps.is_multiple_of(JUMPS) && self.is_over()
    }
}

/// Makes jumps ask.
pub(super) fn watch_jumps(table: &mut EthInstructions<EthInterpreter, MachineContext>) {
    for (opcode, gas, instruction) in
        [(JUMP, 8, Instruction::new(jump)), (JUMPI, 10, Instruction::new(jumpi))]
    {
        table.insert_instruction(opcode, instruction, gas);
    }
}

type Jump<'a> = InstructionContext<'a, MachineContext, EthInterpreter>;

fn check(jump: &mut Jump<'_>) -> InstructionExecResult {
    if !jump.host.chain.is_over_after_jump() {
        return Ok(());
    }
    *jump.host.error() = Err(ContextError::Custom(INTERRUPTED.into()));
    Err(InstructionResult::FatalExternalError)
}

fn jump(mut context: Jump<'_>) -> InstructionExecResult {
    check(&mut context)?;
    control::jump(context)
}

fn jumpi(mut context: Jump<'_>) -> InstructionExecResult {
    check(&mut context)?;
    control::jumpi(context)
}
