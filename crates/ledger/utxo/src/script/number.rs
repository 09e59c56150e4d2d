//! Numbers on the stack: little-endian with a sign bit (Bitcoin Core `CScriptNum`).

use super::error::ScriptError;
use super::item::Item;

/// The longest number that arithmetic takes, in bytes. Results may be one byte longer.
pub const NUMBER_SIZE_MAX: usize = 4;
/// The longest number that the lock-time operations take, in bytes: a lock time has 32 bits and no sign.
pub const LOCK_TIME_SIZE_MAX: usize = 5;

/// The bit of the last byte that says a number is negative.
const SIGN: u8 = 0x80;

/// Reads a number of at most `size_max` (at most 8) bytes.
///
/// # Errors
/// [`ScriptError::ScriptNum`] when it is longer, or `minimal` is asked and it could be shorter.
pub fn decode(bytes: &[u8], minimal: bool, size_max: usize) -> Result<i64, ScriptError> {
    if bytes.len() > size_max.min(8) {
        return Err(ScriptError::ScriptNum);
    }
    let Some((&last, rest)) = bytes.split_last() else { return Ok(0) };
    // The last byte carries the sign; it may be empty otherwise only when the byte before needs its top bit.
    let without_sign = last & !SIGN;
    if minimal && without_sign == 0 && rest.last().is_none_or(|before| before & 0x80 == 0) {
        return Err(ScriptError::ScriptNum);
    }
    let magnitude = rest.iter().rev().fold(i64::from(without_sign), |sum, byte| sum << 8 | i64::from(*byte));
    Ok(if last & 0x80 == 0 { magnitude } else { -magnitude })
}

/// Writes a number as short as it can be. Magnitudes up to 2⁶³−1 need at most nine bytes.
pub fn encode(number: i64) -> Item<'static> {
    let mut bytes = [0; 9];
    let mut length = 0;
    let mut magnitude = number.unsigned_abs();
    while magnitude > 0 {
        bytes[length] = magnitude as u8;
        magnitude >>= 8;
        length += 1;
    }
    if length > 0 {
        let sign = if number < 0 { 0x80 } else { 0 };
        if bytes[length - 1] & 0x80 != 0 {
            bytes[length] = sign;
            length += 1;
        } else {
            bytes[length - 1] |= sign;
        }
    }
    Item::short(&bytes[..length])
}

/// Whether an item counts as true: anything but zeros, and a sign alone is zero (Bitcoin Core `CastToBool`).
pub fn is_true(bytes: &[u8]) -> bool {
    match bytes.split_last() {
        None => false,
        Some((&last, rest)) => rest.iter().any(|byte| *byte != 0) || (last != 0 && last != 0x80),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, is_true};

    #[test]
    fn numbers_read_back_and_are_minimal() {
        let edges = [0, 1, 127, 128, 255, 256, 32_767, 32_768, 0x7fff_ffff, 0x8000_0000, 0x7f_ffff_ffff];
        for edge in edges {
            for number in [edge, -edge] {
                assert_eq!(decode(encode(number).as_bytes(), true, 8), Ok(number));
            }
        }
        assert_eq!(encode(i64::MIN).as_bytes(), [0, 0, 0, 0, 0, 0, 0, 0x80, 0x80]);
    }

    #[test]
    fn padded_and_long_numbers_are_refused() {
        assert!(decode(&[0], true, 4).is_err());
        assert!(decode(&[1, 0x80], true, 4).is_err());
        assert_eq!(decode(&[1, 0x80], false, 4), Ok(-1));
        assert_eq!(decode(&[0xff, 0x80], true, 4), Ok(-255));
        assert!(decode(&[1, 2, 3, 4, 5], false, 4).is_err());
    }

    #[test]
    fn negative_zero_is_false() {
        assert!(!is_true(&[]) && !is_true(&[0, 0]) && !is_true(&[0, 0x80]));
        assert!(is_true(&[0x80, 0]) && is_true(&[1]));
    }
}
