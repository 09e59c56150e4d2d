//! Scripts as people read them (Bitcoin Core `core_io.cpp`, `ScriptToAsmStr`).

use super::SCRIPT_SIZE_MAX;
use super::curve::check_signature_encoding;
use super::flags::Flags;
use super::instruction::Instructions;
use super::number;
use super::opcode::{OP_PUSHDATA4, OP_RETURN, opcode_name};
use hex_conservative::DisplayHex as _;
use std::fmt::Write as _;

/// Writes a script out: opcodes by name, pushes of up to four bytes as numbers, longer ones in hexadecimal. With
/// `hash_types`, as for input scripts, the hash type of whatever looks like a signature is written in words.
pub fn asm(script: &[u8], hash_types: bool) -> String {
    let spendable = script.first() != Some(&OP_RETURN) && script.len() <= SCRIPT_SIZE_MAX;
    let mut text = String::with_capacity(script.len() * 2);
    for step in Instructions::new(script) {
        if !text.is_empty() {
            text.push(' ');
        }
        let Ok(instruction) = step else {
            text.push_str("[error]");
            return text;
        };
        let data = instruction.data;
        let written = match number::decode(data, false, number::NUMBER_SIZE_MAX) {
            _ if instruction.opcode > OP_PUSHDATA4 => {
                text.push_str(opcode_name(instruction.opcode));
                Ok(())
            }
            Ok(small) => write!(text, "{small}"),
            Err(_) => match hash_type_words(data).filter(|_| hash_types && spendable) {
                Some(words) => write!(text, "{}[{words}]", data[..data.len() - 1].as_hex()),
                None => write!(text, "{}", data.as_hex()),
            },
        };
        written.expect("writing to a string cannot fail");
    }
    text
}

/// The name of a signature's hash type, if this looks like a signature with a defined one.
fn hash_type_words(data: &[u8]) -> Option<&'static str> {
    check_signature_encoding(data, Flags::STRICTENC).ok()?;
    match data.last()? {
        1 => Some("ALL"),
        2 => Some("NONE"),
        3 => Some("SINGLE"),
        0x81 => Some("ALL|ANYONECANPAY"),
        0x82 => Some("NONE|ANYONECANPAY"),
        0x83 => Some("SINGLE|ANYONECANPAY"),
        _ => None,
    }
}
