//! Output descriptors, as far as a script alone gives one (Bitcoin Core `script/descriptor.cpp`).

use chainwright_utxo::address::{AddressPrefixes, Destination};
use chainwright_utxo::script::{Script, Template, classify};
use hex_conservative::DisplayHex as _;

use chainwright_rpc::{RpcError, read_hex};

const INPUT_CHARACTERS: &str =
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
const CHECKSUM_CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATORS: [u64; 5] = [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
const CHECKSUM_LENGTH: usize = 8;

/// The descriptor of a script nobody told anything about (Bitcoin Core `InferDescriptor`), with its checksum.
pub(crate) fn describe(script: &[u8], prefixes: &AddressPrefixes) -> String {
    let body = describe_plain(script, prefixes);
    let checksum = checksum(&body).expect("bodies are made of the characters that checksums take");
    format!("{body}#{checksum}")
}

fn describe_plain(script: &[u8], prefixes: &AddressPrefixes) -> String {
    match classify(script) {
        Template::Pubkey(key) if is_plain_key(key) => return format!("pk({})", key.to_lower_hex_string()),
        Template::Multisig { required, keys } if keys.iter().all(|key| is_plain_key(key)) => {
            let keys: Vec<_> = keys.iter().map(|key| key.to_lower_hex_string()).collect();
            return format!("multi({required},{})", keys.join(","));
        }
        Template::WitnessV1Taproot(key) if secp256k1::XOnlyPublicKey::from_byte_array(key).is_ok() => {
            return format!("rawtr({})", key.to_lower_hex_string());
        }
        _ => {}
    }
    let address = Destination::of_script(script).and_then(|destination| destination.encode(prefixes));
    match address {
        Some(address) => format!("addr({address})"),
        None => format!("raw({})", script.to_lower_hex_string()),
    }
}

/// Whether a key is a point written plainly, not in the hybrid form.
fn is_plain_key(key: &[u8]) -> bool {
    matches!((key.first(), key.len()), (Some(2 | 3), 33) | (Some(4), 65))
        && secp256k1::PublicKey::from_slice(key).is_ok()
}

/// Eight characters that find up to four wrong ones (Bitcoin Core `DescriptorChecksum`).
fn checksum(body: &str) -> Option<String> {
    let mut state = 1;
    let mut class = 0;
    let mut class_count = 0;
    for character in body.chars() {
        let position = INPUT_CHARACTERS.find(character)? as u64;
        state = step(state, position & 31);
        class = class * 3 + (position >> 5);
        class_count += 1;
        if class_count == 3 {
            state = step(state, class);
            (class, class_count) = (0, 0);
        }
    }
    if class_count > 0 {
        state = step(state, class);
    }
    for _ in 0..CHECKSUM_LENGTH {
        state = step(state, 0);
    }
    state ^= 1;
    let character = |at: usize| char::from(CHECKSUM_CHARACTERS[(state >> (5 * (7 - at)) & 31) as usize]);
    Some((0..CHECKSUM_LENGTH).map(character).collect())
}

fn step(state: u64, value: u64) -> u64 {
    let top = state >> 35;
    let mut next = (state & 0x7_ffff_ffff) << 5 ^ value;
    for (bit, generator) in GENERATORS.iter().enumerate() {
        if top >> bit & 1 == 1 {
            next ^= generator;
        }
    }
    next
}

/// The script of a descriptor that names one without deriving keys: `raw(HEX)`, `addr(ADDRESS)`, `pk(KEY)`,
/// `pkh(KEY)`, `wpkh(KEY)`, `rawtr(KEY)`; the checksum may be left out.
pub(crate) fn script_of(descriptor: &str, prefixes: &AddressPrefixes) -> Result<Script, RpcError> {
    let body = match descriptor.split_once('#') {
        Some((body, given)) => {
            check_checksum(body, given)?;
            body
        }
        None => descriptor,
    };
    let unknown = || RpcError::unknown(format!("'{body}' is not a valid descriptor function"));
    let (function, argument) =
        body.strip_suffix(')').and_then(|body| body.split_once('(')).ok_or_else(unknown)?;
    match function {
        "raw" => {
            let bytes = read_hex(argument).ok_or_else(|| RpcError::unknown("Raw script is not hex"))?;
            Ok(Script(bytes))
        }
        "addr" => {
            let destination = Destination::decode(argument, prefixes);
            destination.map(|to| to.script_pubkey()).map_err(|_| RpcError::unknown("Address is not valid"))
        }
        "pk" | "pkh" | "wpkh" | "rawtr" => key_script(function, argument),
        _ => Err(unknown()),
    }
}

fn check_checksum(body: &str, given: &str) -> Result<(), RpcError> {
    let expected = checksum(body).ok_or_else(|| RpcError::unknown("Invalid characters in payload"))?;
    if given.len() != CHECKSUM_LENGTH {
        let message = format!("Expected 8 character checksum, not {} characters", given.len());
        return Err(RpcError::unknown(message));
    }
    if given != expected {
        let message = format!("Provided checksum '{given}' does not match computed checksum '{expected}'");
        return Err(RpcError::unknown(message));
    }
    Ok(())
}

fn key_script(function: &str, argument: &str) -> Result<Script, RpcError> {
    use chainwright_utxo::hash::hash160;
    let invalid = || RpcError::unknown(format!("{function}(): key '{argument}' is not valid"));
    let key = read_hex(argument).ok_or_else(invalid)?;
    if function == "rawtr" {
        let key: [u8; 32] = key.as_ref().try_into().map_err(|_| invalid())?;
        secp256k1::XOnlyPublicKey::from_byte_array(key).map_err(|_| invalid())?;
        return Ok(Destination::Witness { version: 1, program: key.as_slice().into() }.script_pubkey());
    }
    if !is_plain_key(&key) {
        return Err(invalid());
    }
    match function {
        "pkh" => Ok(Destination::PubkeyHash(hash160(&key)).script_pubkey()),
        "wpkh" if key.len() == 33 => {
            Ok(Destination::Witness { version: 0, program: hash160(&key).as_slice().into() }.script_pubkey())
        }
        "wpkh" => Err(RpcError::unknown("wpkh(): Uncompressed keys are not allowed")),
        _ => {
            let mut script = vec![key.len() as u8];
            script.extend_from_slice(&key);
            script.push(chainwright_utxo::script::opcode::OP_CHECKSIG);
            Ok(script.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_checksum_of(body: &str, expected: &str) {
        assert_eq!(checksum(body).as_deref(), Some(expected));
    }

    /// From BIP-0380 § Test vectors and Bitcoin Core's `descriptor_tests.cpp`.
    #[test]
    fn checksums_are_those_of_the_specification() {
        check_checksum_of("raw(deadbeef)", "89f8spxm");
        let keys = "[00000000/111'/222]xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL,xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y/0";
        check_checksum_of(&format!("sh(multi(2,{keys}))"), "tjg09x5t");
        assert!(script_of("raw(deadbeef)#89f8spxm", &AddressPrefixes::bitcoin()).is_ok());
        for bad in
            ["raw(deadbeef)#", "raw(deadbeef)#89f8spx", "raw(deedbeef)#89f8spxm", "raw(deadbeef)##9f8spxm"]
        {
            assert!(script_of(bad, &AddressPrefixes::bitcoin()).is_err(), "{bad}");
        }
    }
}
