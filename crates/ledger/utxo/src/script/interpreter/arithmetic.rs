//! Opcodes that compute: numbers and hashes.

use super::super::item::Item;
use super::super::number;
use super::super::opcode::{
    OP_0NOTEQUAL, OP_1ADD, OP_1SUB, OP_ABS, OP_ADD, OP_BOOLAND, OP_BOOLOR, OP_GREATERTHAN,
    OP_GREATERTHANOREQUAL, OP_HASH160, OP_HASH256, OP_LESSTHAN, OP_LESSTHANOREQUAL, OP_MAX, OP_MIN,
    OP_NEGATE, OP_NOT, OP_NUMEQUAL, OP_NUMEQUALVERIFY, OP_NUMNOTEQUAL, OP_RIPEMD160, OP_SHA1, OP_SHA256,
    OP_SUB, OP_WITHIN,
};
use super::{Machine, ScriptError};
use crate::hash::{hash160, ripemd160, sha256, sha256d};
use sha1::{Digest as _, Sha1};

impl Machine<'_, '_, '_> {
    pub(super) fn arithmetic(&mut self, opcode: u8) -> Result<(), ScriptError> {
        match opcode {
            OP_1ADD..=OP_0NOTEQUAL => self.unary(opcode),
            OP_WITHIN => self.within(),
            OP_NUMEQUALVERIFY => {
                self.binary(opcode)?;
                self.verify(ScriptError::NumEqualVerify)
            }
            _ => self.binary(opcode),
        }
    }

    fn unary(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let top = self.peek(1)?;
        let operand = self.decode_number(&top)?;
        let result = match opcode {
            OP_1ADD => operand + 1,
            OP_1SUB => operand - 1,
            OP_NEGATE => -operand,
            OP_ABS => operand.abs(),
            OP_NOT => i64::from(operand == 0),
            OP_0NOTEQUAL => i64::from(operand != 0),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.stack.pop();
        self.stack.push(number::encode(result));
        Ok(())
    }

    fn binary(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let (left, right) = (self.peek(2)?, self.peek(1)?);
        let (left, right) = (self.decode_number(&left)?, self.decode_number(&right)?);
        let result = match opcode {
            OP_ADD => left + right,
            OP_SUB => left - right,
            OP_BOOLAND => i64::from(left != 0 && right != 0),
            OP_BOOLOR => i64::from(left != 0 || right != 0),
            OP_NUMEQUAL | OP_NUMEQUALVERIFY => i64::from(left == right),
            OP_NUMNOTEQUAL => i64::from(left != right),
            OP_LESSTHAN => i64::from(left < right),
            OP_GREATERTHAN => i64::from(left > right),
            OP_LESSTHANOREQUAL => i64::from(left <= right),
            OP_GREATERTHANOREQUAL => i64::from(left >= right),
            OP_MIN => left.min(right),
            OP_MAX => left.max(right),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.stack.truncate(self.stack.len() - 2);
        self.stack.push(number::encode(result));
        Ok(())
    }

    fn within(&mut self) -> Result<(), ScriptError> {
        let (value, low, high) = (self.peek(3)?, self.peek(2)?, self.peek(1)?);
        let value = self.decode_number(&value)?;
        let (low, high) = (self.decode_number(&low)?, self.decode_number(&high)?);
        self.stack.truncate(self.stack.len() - 3);
        self.stack.push(Item::boolean((low..high).contains(&value)));
        Ok(())
    }

    pub(super) fn hash(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let top = self.pop()?;
        let data = top.as_bytes();
        self.stack.push(match opcode {
            OP_RIPEMD160 => Item::short(&ripemd160(data)),
            OP_SHA1 => Item::short(&Sha1::digest(data)),
            OP_SHA256 => Item::short(&sha256(data)),
            OP_HASH160 => Item::short(&hash160(data)),
            OP_HASH256 => Item::short(&sha256d(data)),
            _ => return Err(ScriptError::BadOpcode),
        });
        Ok(())
    }
}
