//! Vectors, dice and flipped bits.

use std::io::Read as _;
use std::path::PathBuf;

use chainwright_utxo::script::instruction::{put_number, put_push};
use chainwright_utxo::script::opcode::{OP_CHECKSIGADD, OP_NOP, OP_RESERVED, opcode_name};
use serde_json::Value;

/// The bytes of a vector file, or nothing (said loudly) where the vectors are not.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join("bitcoin").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
            assert!(!required, "vectors are required, but {}: {error}", path.display());
            say(&format!("SKIPPED: {}: {error}", path.display()));
            None
        }
    }
}

/// Tells the person who runs the tests.
#[expect(clippy::print_stderr, reason = "counts and skipped tests must be seen")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

/// The elements of a JSON file that holds one list.
pub(crate) fn read_list(name: &str) -> Option<Vec<Value>> {
    Some(serde_json::from_slice(&read(name)?).expect("the file is a list"))
}

/// The bytes of a file compressed with zstd.
pub(crate) fn read_zstd(name: &str) -> Option<Vec<u8>> {
    Some(zstd::decode_all(&read(name)?[..]).expect("the file is zstd"))
}

/// The blocks of a framed file compressed with bzip2.
pub(crate) fn read_frames(name: &str) -> Option<Vec<Vec<u8>>> {
    let packed = read(name)?;
    let mut bytes = Vec::new();
    bzip2::read::BzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("the file is bzip2");
    let mut rest = &bytes[..];
    let mut blocks = Vec::new();
    while let Some((frame, after)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes(frame[4..].try_into().expect("four bytes")) as usize;
        blocks.push(after[..length].to_vec());
        rest = &after[length..];
    }
    Some(blocks)
}

/// Bytes from hexadecimal.
#[track_caller]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex_conservative::decode_to_vec(text).expect("vectors hold good hexadecimal")
}

/// A small generator of numbers (xorshift64*), so that a failing case can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring numbers, and zero would stay zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

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

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// The bytes with one bit changed; bit 0 is the lowest of the first byte.
pub(crate) fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
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
            let is_it = |opcode: &u8| {
                let name = opcode_name(*opcode);
                name == word || name.strip_prefix("OP_") == Some(word)
            };
            let named = std::iter::once(OP_RESERVED).chain(OP_NOP..=OP_CHECKSIGADD).find(is_it);
            script.push(named.unwrap_or_else(|| panic!("unknown word {word}")));
        }
    }
    script
}
