//! Opcodes that check signatures.

use super::super::MULTISIG_KEYS_MAX;
use super::super::curve::{check_key_encoding, check_signature_encoding};
use super::super::instruction::{Instructions, put_push};
use super::super::item::Item;
use super::super::number;
use super::super::opcode::{OP_CHECKMULTISIGVERIFY, OP_CHECKSIGVERIFY};
use super::{Flags, Machine, OPERATIONS_MAX, ScriptError, SigVersion, TaprootSpend};
use std::borrow::Cow;

/// Weight units that every signature check with a signature costs in Tapscript (BIP-0342).
const WEIGHT_PER_CHECK: i64 = 50;

impl<'a> Machine<'a, '_, '_> {
    pub(super) fn check_signature(&mut self, opcode: u8) -> Result<(), ScriptError> {
        let (signature, key) = (self.peek(2)?, self.peek(1)?);
        let good = self.is_signature_good(signature.as_bytes(), key.as_bytes())?;
        self.stack.truncate(self.stack.len() - 2);
        self.push_or_verify(good, opcode == OP_CHECKSIGVERIFY, ScriptError::CheckSigVerify)
    }

    pub(super) fn check_signature_add(&mut self) -> Result<(), ScriptError> {
        if self.version != SigVersion::Tapscript {
            return Err(ScriptError::BadOpcode);
        }
        let (signature, sum, key) = (self.peek(3)?, self.peek(2)?, self.peek(1)?);
        let sum = self.decode_number(&sum)?;
        let good = self.is_signature_good(signature.as_bytes(), key.as_bytes())?;
        self.stack.truncate(self.stack.len() - 3);
        self.stack.push(number::encode(sum + i64::from(good)));
        Ok(())
    }

    fn push_or_verify(&mut self, good: bool, verify: bool, error: ScriptError) -> Result<(), ScriptError> {
        if verify {
            return if good { Ok(()) } else { Err(error) };
        }
        self.stack.push(Item::boolean(good));
        Ok(())
    }

    /// Whether a signature is good; an error fails the script (Bitcoin Core `EvalChecksig`).
    fn is_signature_good(&mut self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptError> {
        if self.version == SigVersion::Tapscript {
            return self.is_schnorr_good(signature, key);
        }
        let mut code = self.script_code();
        self.drop_signature(&mut code, signature)?;
        self.check_encodings(signature, key)?;
        let good = signature.split_last().is_some_and(|(&hash_type, body)| {
            let checker = self.environment.checker;
            let hash = checker.ecdsa_sighash(hash_type, &code, self.version);
            checker.verify_ecdsa(body, key, &hash)
        });
        if !good && self.flag(Flags::NULLFAIL) && !signature.is_empty() {
            return Err(ScriptError::SigNullFail);
        }
        Ok(good)
    }

    /// Bitcoin Core `EvalChecksigTapscript`; the order of these checks is consensus.
    fn is_schnorr_good(&mut self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptError> {
        let checker = self.environment.checker;
        let Some(tapscript) = self.tapscript.as_deref_mut() else { return Err(ScriptError::BadOpcode) };
        if !signature.is_empty() {
            tapscript.weight_left -= WEIGHT_PER_CHECK;
            if tapscript.weight_left < 0 {
                return Err(ScriptError::TapscriptValidationWeight);
            }
        }
        if key.is_empty() {
            return Err(ScriptError::TapscriptEmptyPubkey);
        }
        if let Ok(key) = <&[u8; 32]>::try_from(key) {
            if !signature.is_empty() {
                let spend = TaprootSpend {
                    annex_hash: tapscript.annex_hash,
                    leaf: Some((tapscript.leaf_hash, tapscript.code_separator)),
                };
                super::super::taproot::check_schnorr(signature, key, &spend, checker)?;
            }
        } else if self.flag(Flags::DISCOURAGE_UPGRADABLE_PUBKEYTYPE) {
            return Err(ScriptError::DiscourageUpgradablePubkeyType);
        }
        Ok(!signature.is_empty())
    }

    /// The part of the script that signatures sign.
    fn script_code(&self) -> Cow<'a, [u8]> {
        Cow::Borrowed(&self.script[self.code_start..])
    }

    /// Removes a signature from the script it signs, as only scripts outside witnesses do.
    fn drop_signature(&self, code: &mut Cow<'a, [u8]>, signature: &[u8]) -> Result<(), ScriptError> {
        if self.version != SigVersion::Base {
            return Ok(());
        }
        if let Some(without) = find_and_delete(code, signature) {
            if self.flag(Flags::CONST_SCRIPTCODE) {
                return Err(ScriptError::SigFindAndDelete);
            }
            *code = Cow::Owned(without);
        }
        Ok(())
    }

    fn check_encodings(&self, signature: &[u8], key: &[u8]) -> Result<(), ScriptError> {
        check_signature_encoding(signature, self.environment.flags)?;
        check_key_encoding(key, self.environment.flags, self.version == SigVersion::WitnessV0)
    }

    /// `dummy signature… signature_count key… key_count`, the keys tried in order from the top.
    pub(super) fn check_multisig(&mut self, opcode: u8) -> Result<(), ScriptError> {
        if self.version == SigVersion::Tapscript {
            return Err(ScriptError::TapscriptCheckMultisig);
        }
        let key_count = self.multisig_count(1, MULTISIG_KEYS_MAX, ScriptError::PubkeyCount)?;
        self.operation_count += key_count;
        if self.operation_count > OPERATIONS_MAX {
            return Err(ScriptError::OpCount);
        }
        let first_key = 2;
        let signature_count = self.multisig_count(first_key + key_count, key_count, ScriptError::SigCount)?;
        let first_signature = first_key + key_count + 1;
        let dummy = first_signature + signature_count;
        self.need(dummy - 1)?;

        let base = self.stack.len();
        let keys: Vec<Item<'a>> = (0..key_count).map(|index| self.stack[base - first_key - index]).collect();
        let signatures: Vec<Item<'a>> =
            (0..signature_count).map(|index| self.stack[base - first_signature - index]).collect();
        let good = self.are_signatures_good(&signatures, &keys)?;
        let any_signature = signatures.iter().any(|signature| !signature.as_bytes().is_empty());
        if !good && self.flag(Flags::NULLFAIL) && any_signature {
            return Err(ScriptError::SigNullFail);
        }
        // One item more than needed is taken: an error of the first version that is consensus now.
        if self.flag(Flags::NULLDUMMY) && !self.peek(dummy)?.as_bytes().is_empty() {
            return Err(ScriptError::SigNullDummy);
        }
        self.need(dummy)?;
        self.stack.truncate(base - dummy);
        self.push_or_verify(good, opcode == OP_CHECKMULTISIGVERIFY, ScriptError::CheckMultisigVerify)
    }

    fn multisig_count(&self, depth: usize, max: usize, error: ScriptError) -> Result<usize, ScriptError> {
        let count = self.decode_number(&self.peek(depth)?)?;
        usize::try_from(count).ok().filter(|count| *count <= max).ok_or(error)
    }

    fn are_signatures_good(&self, signatures: &[Item<'a>], keys: &[Item<'a>]) -> Result<bool, ScriptError> {
        let mut code = self.script_code();
        for signature in signatures {
            self.drop_signature(&mut code, signature.as_bytes())?;
        }
        let checker = self.environment.checker;
        let mut keys = keys.iter();
        for (index, signature) in signatures.iter().enumerate() {
            let signature = signature.as_bytes();
            // A signature is tried against key after key; what it signs is hashed once.
            let mut hash = None;
            loop {
                if signatures.len() - index > keys.len() {
                    return Ok(false);
                }
                let Some(key) = keys.next() else { return Ok(false) };
                self.check_encodings(signature, key.as_bytes())?;
                let Some((&hash_type, body)) = signature.split_last() else { continue };
                let hash = hash.get_or_insert_with(|| checker.ecdsa_sighash(hash_type, &code, self.version));
                if checker.verify_ecdsa(body, key.as_bytes(), hash) {
                    break;
                }
            }
        }
        Ok(true)
    }
}

/// The script without the pushes of these bytes that start at an instruction; nothing when there are none
/// (Bitcoin Core `FindAndDelete`).
fn find_and_delete(script: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    // A push is longer than its data; most scripts are shorter than any signature.
    if script.len() <= data.len() {
        return None;
    }
    let mut pattern = Vec::with_capacity(data.len() + 5);
    put_push(&mut pattern, data);
    let mut without: Option<Vec<u8>> = None;
    let (mut kept_from, mut position) = (0, 0);
    loop {
        if script[position..].starts_with(&pattern) {
            without.get_or_insert_default().extend_from_slice(&script[kept_from..position]);
            while script[position..].starts_with(&pattern) {
                position += pattern.len();
            }
            kept_from = position;
        }
        let mut instructions = Instructions::starting_at(script, position);
        let Ok(Some(_)) = instructions.step() else { break };
        position = instructions.position();
    }
    if let Some(without) = &mut without {
        without.extend_from_slice(&script[kept_from..]);
    }
    without
}

#[cfg(test)]
mod tests {
    use super::find_and_delete;

    /// Cases of Bitcoin Core `test/script_tests.cpp`, `script_FindAndDelete`, whose pattern is one push.
    #[track_caller]
    fn check_deletion(script: &[u8], data: &[u8], expected: Option<&[u8]>) {
        assert_eq!(find_and_delete(script, data).as_deref(), expected);
    }

    #[test]
    fn only_pushes_that_start_at_an_instruction_are_deleted() {
        check_deletion(&[0x51, 0x52], &[], None);
        check_deletion(&[0x51, 0x00, 0x52, 0x00, 0x00], &[], Some(&[0x51, 0x52]));
        check_deletion(&[0x02, 0xfe, 0xed, 0x51], &[0xfe, 0xed], Some(&[0x51]));
        check_deletion(&[0x02, 0xfe, 0xed, 0x02, 0xfe, 0xed], &[0xfe, 0xed], Some(&[]));
        // Inside another push the same bytes stay.
        check_deletion(&[0x04, 0x02, 0xfe, 0xed, 0x51], &[0xfe, 0xed], None);
        // Behind a truncated push nothing is looked at.
        check_deletion(
            &[0x01, 0xaa, 0x01, 0xaa, 0x4c, 0x09, 0x01, 0xaa],
            &[0xaa],
            Some(&[0x4c, 0x09, 0x01, 0xaa]),
        );
    }
}
