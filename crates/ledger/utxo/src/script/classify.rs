//! Telling the standard forms of an output's script apart (Bitcoin Core `script/solver.cpp`).

use super::instruction::{Instruction, Instructions, is_minimal_push, small_number};
use super::opcode::{
    OP_CHECKMULTISIG, OP_CHECKSIG, OP_DUP, OP_EQUALVERIFY, OP_HASH160, OP_PUSHDATA4, OP_RETURN,
};
use super::verify::witness_program;
use super::{MULTISIG_KEYS_MAX, is_p2sh, number};

/// A form of an output's script, with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template<'a> {
    /// None of the others.
    NonStandard,
    /// A key.
    Pubkey(&'a [u8]),
    /// A key's hash.
    PubkeyHash([u8; 20]),
    /// A script's hash (BIP-0016).
    ScriptHash([u8; 20]),
    /// So many signatures of these keys.
    Multisig {
        /// How many signatures.
        required: u8,
        /// The keys, in order.
        keys: Vec<&'a [u8]>,
    },
    /// Data that nobody can spend.
    NullData,
    /// A key's hash in a witness (BIP-0141).
    WitnessV0KeyHash([u8; 20]),
    /// A script's hash in a witness (BIP-0141).
    WitnessV0ScriptHash([u8; 32]),
    /// A Taproot output key (BIP-0341).
    WitnessV1Taproot([u8; 32]),
    /// An output that anybody may spend, to pay for its transaction.
    Anchor,
    /// A witness program of unknown version or length.
    WitnessUnknown {
        /// The version, 1 to 16.
        version: u8,
        /// The program, 2 to 40 bytes.
        program: &'a [u8],
    },
}

impl Template<'_> {
    /// Bitcoin Core's name (`GetTxnOutputType`).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NonStandard => "nonstandard",
            Self::Pubkey(_) => "pubkey",
            Self::PubkeyHash(_) => "pubkeyhash",
            Self::ScriptHash(_) => "scripthash",
            Self::Multisig { .. } => "multisig",
            Self::NullData => "nulldata",
            Self::WitnessV0KeyHash(_) => "witness_v0_keyhash",
            Self::WitnessV0ScriptHash(_) => "witness_v0_scripthash",
            Self::WitnessV1Taproot(_) => "witness_v1_taproot",
            Self::Anchor => "anchor",
            Self::WitnessUnknown { .. } => "witness_unknown",
        }
    }
}

/// Finds a script's form (Bitcoin Core `Solver`).
pub fn classify(script: &[u8]) -> Template<'_> {
    if is_p2sh(script) {
        return hash_at::<20>(script, 2).map_or(Template::NonStandard, Template::ScriptHash);
    }
    if let Some((version, program)) = witness_program(script) {
        return classify_program(version, program);
    }
    if let [OP_RETURN, data @ ..] = script
        && super::is_push_only(data)
    {
        return Template::NullData;
    }
    match script {
        [65, key @ .., OP_CHECKSIG] if key.len() == 65 && is_key_sized(key) => Template::Pubkey(key),
        [33, key @ .., OP_CHECKSIG] if key.len() == 33 && is_key_sized(key) => Template::Pubkey(key),
        [OP_DUP, OP_HASH160, 20, hash @ .., OP_EQUALVERIFY, OP_CHECKSIG] if hash.len() == 20 => {
            hash_at::<20>(script, 3).map_or(Template::NonStandard, Template::PubkeyHash)
        }
        _ => match_multisig(script).unwrap_or(Template::NonStandard),
    }
}

fn classify_program(version: u8, program: &[u8]) -> Template<'_> {
    match (version, program.len()) {
        (0, 20) => hash_at(program, 0).map_or(Template::NonStandard, Template::WitnessV0KeyHash),
        (0, 32) => hash_at(program, 0).map_or(Template::NonStandard, Template::WitnessV0ScriptHash),
        (0, _) => Template::NonStandard,
        (1, 32) => hash_at(program, 0).map_or(Template::NonStandard, Template::WitnessV1Taproot),
        (1, _) if program == [0x4e, 0x73] => Template::Anchor,
        _ => Template::WitnessUnknown { version, program },
    }
}

fn hash_at<const N: usize>(script: &[u8], start: usize) -> Option<[u8; N]> {
    script.get(start..start + N)?.try_into().ok()
}

/// Whether a key's first byte and length go together (Bitcoin Core `CPubKey::ValidSize`).
pub(crate) fn is_key_sized(key: &[u8]) -> bool {
    match key.first() {
        Some(2 | 3) => key.len() == 33,
        Some(4 | 6 | 7) => key.len() == 65,
        _ => false,
    }
}

fn match_multisig(script: &[u8]) -> Option<Template<'_>> {
    if script.last() != Some(&OP_CHECKMULTISIG) {
        return None;
    }
    let mut instructions = Instructions::new(script);
    let required = script_number(instructions.step().ok()??)?;
    let required = u8::try_from(required).ok().filter(|required| *required >= 1)?;
    let mut keys = Vec::new();
    let count = loop {
        let instruction = instructions.step().ok()??;
        if !is_key_sized(instruction.data) {
            break script_number(instruction)?;
        }
        keys.push(instruction.data);
    };
    let count = usize::try_from(count).ok()?;
    let fits = usize::from(required) <= count && count <= MULTISIG_KEYS_MAX && keys.len() == count;
    let ends = instructions.position() + 1 == script.len();
    (fits && ends).then_some(Template::Multisig { required, keys })
}

/// The number that an opcode or a minimal push stands for (Bitcoin Core `GetScriptNumber`).
fn script_number(instruction: Instruction<'_>) -> Option<i64> {
    let Instruction { opcode, data } = instruction;
    if let Some(small) = small_number(opcode) {
        return Some(i64::from(small));
    }
    if opcode == 0 || opcode > OP_PUSHDATA4 || !is_minimal_push(opcode, data) {
        return None;
    }
    number::decode(data, true, number::NUMBER_SIZE_MAX).ok()
}

#[cfg(test)]
mod tests {
    use super::super::instruction::{put_number, put_push};
    use super::super::opcode::OP_CHECKMULTISIG;
    use super::classify;

    /// A multisig script that asks for `required` of these keys and says there are `count`.
    fn multisig(required: i64, keys: &[Vec<u8>], count: i64) -> Vec<u8> {
        let mut script = Vec::new();
        put_number(&mut script, required);
        for key in keys {
            put_push(&mut script, key);
        }
        put_number(&mut script, count);
        script.push(OP_CHECKMULTISIG);
        script
    }

    #[track_caller]
    fn check_name(script: &[u8], expected: &str) {
        assert_eq!(classify(script).name(), expected);
    }

    #[test]
    fn multisig_counts_must_fit_the_keys() {
        let keys = |count: usize| vec![[&[2][..], &[7; 32]].concat(); count];
        check_name(&multisig(1, &keys(2), 2), "multisig");
        check_name(&multisig(20, &keys(20), 20), "multisig");
        check_name(&multisig(1, &keys(2), 3), "nonstandard");
        check_name(&multisig(1, &keys(3), 2), "nonstandard");
        check_name(&multisig(0, &keys(2), 2), "nonstandard");
        check_name(&multisig(3, &keys(2), 2), "nonstandard");
        check_name(&multisig(1, &keys(21), 21), "nonstandard");
        check_name(&multisig(1, &[vec![2; 32]], 1), "nonstandard");
        check_name(&[&multisig(1, &keys(1), 1)[..], &[OP_CHECKMULTISIG]].concat(), "nonstandard");
    }

    #[test]
    fn keys_need_the_length_their_first_byte_says() {
        let pay_to = |first: u8, length: usize| {
            let mut script = Vec::new();
            put_push(&mut script, &[&[first][..], &vec![7; length - 1]].concat());
            script.push(0xac);
            script
        };
        check_name(&pay_to(2, 33), "pubkey");
        check_name(&pay_to(4, 65), "pubkey");
        check_name(&pay_to(7, 65), "pubkey");
        check_name(&pay_to(4, 33), "nonstandard");
        check_name(&pay_to(2, 65), "nonstandard");
        check_name(&pay_to(5, 65), "nonstandard");
    }

    #[test]
    fn programs_and_data_have_their_names() {
        check_name(&[0x51, 2, 0x4e, 0x73], "anchor");
        check_name(&[0x51, 2, 0x4e, 0x74], "witness_unknown");
        check_name(&[0x52, 2, 0x4e, 0x73], "witness_unknown");
        check_name(&[0, 2, 0x4e, 0x73], "nonstandard");
        check_name(&[0x6a, 1, 7], "nulldata");
        check_name(&[0x6a, 2, 7], "nonstandard");
        check_name(&[], "nonstandard");
    }
}
