//! Walking over a script's instructions.

use super::opcode::{OP_0, OP_1, OP_1NEGATE, OP_16, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4};

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The opcode; below [`OP_PUSHDATA1`] it is the number of bytes it pushes.
    pub opcode: u8,
    /// What it pushes, if it is a push of bytes; otherwise empty.
    pub data: &'a [u8],
}

/// A script whose last push goes beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Walks over a script (Bitcoin Core `GetScriptOp`).
#[derive(Clone, Debug)]
pub struct Instructions<'a> {
    script: &'a [u8],
    position: usize,
}

impl<'a> Instructions<'a> {
    /// Starts at the first byte.
    pub fn new(script: &'a [u8]) -> Self {
        Self { script, position: 0 }
    }

    /// Starts at some byte.
    pub fn starting_at(script: &'a [u8], position: usize) -> Self {
        Self { script, position }
    }

    /// Where the next instruction starts. After a truncated one: behind its opcode and length, as in Bitcoin Core.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next instruction; nothing at the end.
    ///
    /// # Errors
    /// [`Truncated`] when a push goes beyond the end.
    #[inline]
    pub fn step(&mut self) -> Result<Option<Instruction<'a>>, Truncated> {
        let Some(&opcode) = self.script.get(self.position) else { return Ok(None) };
        self.position += 1;
        if opcode > OP_PUSHDATA4 {
            return Ok(Some(Instruction { opcode, data: &[] }));
        }
        let size = match opcode {
            OP_PUSHDATA1 => self.size::<1>()?,
            OP_PUSHDATA2 => self.size::<2>()?,
            OP_PUSHDATA4 => self.size::<4>()?,
            direct => usize::from(direct),
        };
        let rest = &self.script[self.position..];
        let data = rest.get(..size).ok_or(Truncated)?;
        self.position += size;
        Ok(Some(Instruction { opcode, data }))
    }

    fn size<const N: usize>(&mut self) -> Result<usize, Truncated> {
        let bytes = self.script.get(self.position..self.position + N).ok_or(Truncated)?;
        self.position += N;
        Ok(bytes.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte)))
    }
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>, Truncated>;

    /// The next instruction; ends after a truncated one.
    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(Truncated))) {
            self.position = self.script.len();
        }
        step
    }
}

/// Whether a push could not be shorter (Bitcoin Core `CheckMinimalPush`).
pub fn is_minimal_push(opcode: u8, data: &[u8]) -> bool {
    match *data {
        [] => opcode == OP_0,
        [small @ 1..=16] => opcode == OP_1 + (small - 1),
        [0x81] => opcode == OP_1NEGATE,
        _ => match data.len() {
            0..=75 => usize::from(opcode) == data.len(),
            76..=255 => opcode == OP_PUSHDATA1,
            256..=65_535 => opcode == OP_PUSHDATA2,
            _ => true,
        },
    }
}

/// The number that an opcode from [`OP_1`] to [`OP_16`] pushes.
pub fn small_number(opcode: u8) -> Option<u8> {
    (OP_1..=OP_16).contains(&opcode).then(|| opcode - OP_1 + 1)
}

/// Appends a push of these bytes, never as a number (Bitcoin Core `CScript::operator<<` of bytes).
pub fn put_push(script: &mut Vec<u8>, data: &[u8]) {
    match data.len() {
        short @ 0..=75 => script.push(short as u8),
        middle @ 76..=255 => script.extend_from_slice(&[OP_PUSHDATA1, middle as u8]),
        long @ 256..=65_535 => {
            script.push(OP_PUSHDATA2);
            script.extend_from_slice(&(long as u16).to_le_bytes());
        }
        longest => {
            script.push(OP_PUSHDATA4);
            script.extend_from_slice(&(longest as u32).to_le_bytes());
        }
    }
    script.extend_from_slice(data);
}

/// Appends a push of this number, with an opcode of its own where it has one (Bitcoin Core `push_int64`).
pub fn put_number(script: &mut Vec<u8>, number: i64) {
    match number {
        -1 => script.push(OP_1NEGATE),
        0 => script.push(OP_0),
        1..=16 => script.push(OP_1 + number as u8 - 1),
        _ => put_push(script, super::number::encode(number).as_bytes()),
    }
}
