//! Finding and reading the vectors.

use bytes::Bytes;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::script::Script;
use chainwright_utxo::script::instruction::{put_number, put_push};
use chainwright_utxo::script::opcode::{OP_CHECKSIGADD, OP_NOP, OP_RESERVED, opcode_name};
use chainwright_utxo::tx::TxOut;
use serde_json::Value;
use std::io::Read as _;
use std::path::PathBuf;

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(what: &str) {
    eprintln!("SKIPPED: {what}");
}

/// The bytes of a vector file, or nothing (said loudly) where the vectors are not.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join("bitcoin").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
            assert!(!required, "vectors are required, but {}: {error}", path.display());
            skip(&format!("{}: {error}", path.display()));
            None
        }
    }
}

/// The elements of a JSON file that holds one list.
pub(crate) fn read_list(name: &str) -> Option<Vec<Value>> {
    Some(serde_json::from_slice(&read(name)?).expect("the file is a list"))
}

/// The bytes of a file compressed with zstd.
pub(crate) fn read_zstd(name: &str) -> Option<Vec<u8>> {
    Some(zstd::decode_all(&read(name)?[..]).expect("the file is zstd"))
}

/// The bytes of a file compressed with bzip2.
pub(crate) fn read_bzip2(name: &str) -> Option<Vec<u8>> {
    let packed = read(name)?;
    let mut bytes = Vec::new();
    bzip2::read::BzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("the file is bzip2");
    Some(bytes)
}

/// The names and contents of the plain files in a tar archive.
pub(crate) fn tar_files(archive: &[u8]) -> Vec<(String, &[u8])> {
    const BLOCK: usize = 512;
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    };
    let mut files = Vec::new();
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK)
        && header[0] != 0
    {
        let size = usize::from_str_radix(&text(&header[124..136]), 8).expect("sizes are octal");
        if matches!(header[156], b'0' | 0) {
            files.push((text(&header[..100]), &after[..size]));
        }
        rest = &after[size.div_ceil(BLOCK) * BLOCK..];
    }
    files
}

/// Bytes from hexadecimal.
#[track_caller]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex_conservative::decode_to_vec(text).expect("vectors hold good hexadecimal")
}

/// A string in JSON.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// A list in JSON.
#[track_caller]
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// An output of its parts.
pub(crate) fn output(value: i64, script_pubkey: Vec<u8>) -> TxOut {
    TxOut { value: Amount(value), script_pubkey: Script(Bytes::from(script_pubkey)) }
}

/// Reads Bitcoin Core's notation for scripts in tests (`core_io.cpp`, `ParseScript`): numbers, `0x` raw bytes, quoted
/// text and opcode names with or without `OP_`.
#[track_caller]
pub(crate) fn parse_script(source: &str) -> Vec<u8> {
    let mut script = Vec::new();
    for word in source.split([' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        if let Ok(number) = word.parse::<i64>() {
            put_number(&mut script, number);
        } else if let Some(raw) = word.strip_prefix("0x") {
            script.extend(unhex(raw));
        } else if let Some(quoted) = word.strip_prefix('\'') {
            put_push(&mut script, quoted.strip_suffix('\'').expect("a closing quote").as_bytes());
        } else {
            script.push(parse_opcode(word));
        }
    }
    script
}

#[track_caller]
fn parse_opcode(word: &str) -> u8 {
    (OP_RESERVED..=OP_CHECKSIGADD)
        .filter(|opcode| *opcode >= OP_NOP || *opcode == OP_RESERVED)
        .find(|opcode| {
            let name = opcode_name(*opcode);
            name == word || name.strip_prefix("OP_") == Some(word)
        })
        .unwrap_or_else(|| panic!("unknown word {word}"))
}

/// A small generator of numbers (xorshift64*), so that a failing case can be run again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }
}
