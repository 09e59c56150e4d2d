//! Signatures: their encodings, and the curve.

use super::Flags;
use super::error::ScriptError;
use secp256k1::{Message, PublicKey, XOnlyPublicKey, ecdsa, schnorr};

/// The hash type bit that signs only one input.
const ANYONE_CAN_PAY: u8 = 0x80;

/// Checks an ECDSA signature, without its hash type, over a hash (Bitcoin Core `CPubKey::Verify`): any encoding
/// that OpenSSL once took, either half of S, compressed, uncompressed and hybrid keys.
pub fn verify_ecdsa(signature: &[u8], key: &[u8], hash: &[u8; 32]) -> bool {
    let Ok(key) = PublicKey::from_slice(key) else { return false };
    let Ok(mut signature) = ecdsa::Signature::from_der_lax(signature) else { return false };
    signature.normalize_s();
    signature.verify(Message::from_digest(*hash), &key).is_ok()
}

/// Checks a Schnorr signature over a hash (BIP-0340).
pub fn verify_schnorr(signature: &[u8; 64], key: &[u8; 32], hash: &[u8; 32]) -> bool {
    let Ok(key) = XOnlyPublicKey::from_byte_array(*key) else { return false };
    schnorr::Signature::from_byte_array(*signature).verify(hash, &key).is_ok()
}

/// Whether a signature's S, hash type not included, is in the lower half (Bitcoin Core `CPubKey::CheckLowS`).
pub fn is_low_s(signature: &[u8]) -> bool {
    let Ok(given) = ecdsa::Signature::from_der_lax(signature) else { return false };
    let mut normalized = given;
    normalized.normalize_s();
    normalized == given
}

/// Whether a signature, hash type included, is strict DER (BIP-0066): `30 length 02 length R 02 length S type`, both
/// numbers positive and as short as they can be.
pub fn is_strict_der(signature: &[u8]) -> bool {
    let &[0x30, total, 0x02, r_length, ref rest @ ..] = signature else { return false };
    let (r_length, size) = (usize::from(r_length), signature.len());
    if !(9..=73).contains(&size) || usize::from(total) != size - 3 {
        return false;
    }
    let Some((r, [0x02, s_length, rest @ ..])) = rest.split_at_checked(r_length) else { return false };
    let Some((s, [_hash_type])) = rest.split_at_checked(usize::from(*s_length)) else { return false };
    is_strict_integer(r) && is_strict_integer(s)
}

fn is_strict_integer(bytes: &[u8]) -> bool {
    match *bytes {
        [] => false,
        [first, ..] if first & 0x80 != 0 => false,
        [0, second, ..] => second & 0x80 != 0,
        _ => true,
    }
}

/// Holds a signature with its hash type to the rules in force (Bitcoin Core `CheckSignatureEncoding`).
pub(super) fn check_signature_encoding(signature: &[u8], flags: Flags) -> Result<(), ScriptError> {
    // An empty signature is the short way to fail on purpose.
    let Some((&hash_type, body)) = signature.split_last() else { return Ok(()) };
    let strict = Flags::DERSIG | Flags::LOW_S | Flags::STRICTENC;
    if flags.intersects(strict) && !is_strict_der(signature) {
        return Err(ScriptError::SigDer);
    }
    if flags.contains(Flags::LOW_S) && !is_low_s(body) {
        return Err(ScriptError::SigHighS);
    }
    if flags.contains(Flags::STRICTENC) && !(1..=3).contains(&(hash_type & !ANYONE_CAN_PAY)) {
        return Err(ScriptError::SigHashtype);
    }
    Ok(())
}

/// Holds a key to the rules in force (Bitcoin Core `CheckPubKeyEncoding`).
pub(super) fn check_key_encoding(key: &[u8], flags: Flags, in_witness: bool) -> Result<(), ScriptError> {
    let compressed = matches!(key, [2 | 3, x @ ..] if x.len() == 32);
    let uncompressed = matches!(key, [4, point @ ..] if point.len() == 64);
    if flags.contains(Flags::STRICTENC) && !compressed && !uncompressed {
        return Err(ScriptError::PubkeyType);
    }
    if flags.contains(Flags::WITNESS_PUBKEYTYPE) && in_witness && !compressed {
        return Err(ScriptError::WitnessPubkeyType);
    }
    Ok(())
}
