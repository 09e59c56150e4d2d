//! Opcodes that move items.

use super::super::item::Item;
use super::super::number;
use super::super::opcode::{
    OP_2DROP, OP_2DUP, OP_2OVER, OP_2ROT, OP_2SWAP, OP_3DUP, OP_DEPTH, OP_DROP, OP_DUP, OP_EQUAL,
    OP_FROMALTSTACK, OP_IFDUP, OP_NIP, OP_OVER, OP_PICK, OP_ROLL, OP_ROT, OP_SIZE, OP_SWAP, OP_TOALTSTACK,
    OP_TUCK,
};
use super::{Machine, ScriptError};

impl Machine<'_, '_, '_> {
    pub(super) fn stack_operation(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let length = self.stack.len();
        match opcode {
            OP_TOALTSTACK => {
                let top = self.pop()?;
                self.alternative.push(top);
            }
            OP_FROMALTSTACK => {
                let top = self.alternative.pop().ok_or(ScriptError::InvalidAltstackOperation)?;
                self.stack.push(top);
            }
            OP_2DROP => {
                self.need(2)?;
                self.stack.truncate(length - 2);
            }
            OP_2DUP => self.copy(2, 2)?,
            OP_3DUP => self.copy(3, 3)?,
            OP_2OVER => self.copy(4, 2)?,
            OP_2ROT => self.rotate(6, 2)?,
            OP_2SWAP => self.rotate(4, 2)?,
            OP_IFDUP => {
                let top = self.peek(1)?;
                if number::is_true(top.as_bytes()) {
                    self.stack.push(top);
                }
            }
            OP_DEPTH => self.stack.push(number::encode(length as i64)),
            OP_DROP => {
                self.pop()?;
            }
            OP_DUP => self.copy(1, 1)?,
            OP_NIP => {
                self.need(2)?;
                self.stack.remove(length - 2);
            }
            OP_OVER => self.copy(2, 1)?,
            OP_PICK | OP_ROLL => self.pick(opcode)?,
            OP_ROT => self.rotate(3, 1)?,
            OP_SWAP => self.rotate(2, 1)?,
            OP_TUCK => {
                self.need(2)?;
                self.stack.insert(length - 2, self.stack[length - 1]);
            }
            OP_SIZE => {
                let size = self.peek(1)?.as_bytes().len();
                self.stack.push(number::encode(size as i64));
            }
            _ => return Err(ScriptError::BadOpcode),
        }
        Ok(())
    }

    /// Copies `count` items, the first of them `depth` from the top, to the top.
    fn copy(&mut self, depth: usize, count: usize) -> Result<(), ScriptError> {
        self.need(depth)?;
        let start = self.stack.len() - depth;
        self.stack.extend_from_within(start..start + count);
        Ok(())
    }

    /// Moves the lower `count` of the top `depth` items to the top.
    fn rotate(&mut self, depth: usize, count: usize) -> Result<(), ScriptError> {
        self.need(depth)?;
        let start = self.stack.len() - depth;
        self.stack[start..].rotate_left(count);
        Ok(())
    }

    fn pick(&mut self, opcode: u8) -> Result<(), ScriptError> {
        self.need(2)?;
        let argument = self.peek(1)?;
        let depth = self.decode_number(&argument)?;
        self.stack.pop();
        let length = self.stack.len();
        let depth = usize::try_from(depth).ok().filter(|depth| *depth < length);
        let index = length - 1 - depth.ok_or(ScriptError::InvalidStackOperation)?;
        let item = if opcode == OP_ROLL { self.stack.remove(index) } else { self.stack[index] };
        self.stack.push(item);
        Ok(())
    }

    pub(super) fn equal(&mut self, opcode: u8) -> Result<(), ScriptError> {
        self.need(2)?;
        let (second, first) = (self.pop()?, self.pop()?);
        let equal = first.as_bytes() == second.as_bytes();
        if opcode == OP_EQUAL {
            self.stack.push(Item::boolean(equal));
            return Ok(());
        }
        if equal { Ok(()) } else { Err(ScriptError::EqualVerify) }
    }
}
