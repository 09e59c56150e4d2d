//! What the pool takes beyond what consensus asks (Bitcoin Core `policy/policy.cpp`).

use chainwright_chain::Reason;

use super::graph::FeeRate;
use crate::amount::Amount;
use crate::coin::Coin;
use crate::script::{Flags, Template, classify, evaluate, item::Item, legacy_sigops, witness_program};
use crate::tx::{Transaction, TxIn, TxOut, WITNESS_SCALE_FACTOR};

/// A fee rate: satoshi per 1,000 virtual bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeePerKvb(pub i64);

impl FeePerKvb {
    /// The fee for so many virtual bytes, rounded up.
    pub fn fee(self, vsize: usize) -> Amount {
        let product = i128::from(self.0) * vsize as i128;
        Amount(i64::try_from((product + 999).div_euclid(1000)).unwrap_or(i64::MAX))
    }

    pub(crate) fn per_weight(self) -> FeeRate {
        FeeRate { fee: self.0, weight: 1000 * WITNESS_SCALE_FACTOR as i64 }
    }
}

/// The pool's limits; defaults are those of Bitcoin Core 31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether transactions have to be of the usual forms.
    pub require_standard: bool,
    /// The lowest fee rate that is relayed.
    pub relay_fee_min: FeePerKvb,
    /// By how much a replacement has to pay more than what it replaces.
    pub incremental_fee: FeePerKvb,
    /// Outputs that cost more than they are worth at this rate are dust.
    pub dust_fee: FeePerKvb,
    /// The lowest fee rate that is mined.
    pub block_fee_rate_min: FeePerKvb,
    /// The most bytes of data outputs in a transaction; none for no data at all.
    pub datacarrier_bytes_max: Option<usize>,
    /// Whether outputs may pay several keys without a script's hash.
    pub permit_bare_multisig: bool,
    /// The most memory the pool takes, in bytes.
    pub memory_max: usize,
    /// How long a transaction may wait, in seconds.
    pub expiry_seconds: u64,
    /// The most transactions that may depend on each other, at most 64.
    pub cluster_count_max: usize,
    /// The most virtual bytes of these.
    pub cluster_vsize_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            require_standard: true,
            relay_fee_min: FeePerKvb(100),
            incremental_fee: FeePerKvb(100),
            dust_fee: FeePerKvb(3_000),
            block_fee_rate_min: FeePerKvb(1),
            datacarrier_bytes_max: Some(WEIGHT_MAX / WITNESS_SCALE_FACTOR),
            permit_bare_multisig: true,
            memory_max: 300_000_000,
            expiry_seconds: 336 * 60 * 60,
            cluster_count_max: super::graph::CLUSTER_COUNT_MAX,
            cluster_vsize_max: 101_000,
        }
    }
}

/// The largest weight of a standard transaction.
pub(crate) const WEIGHT_MAX: usize = 400_000;
/// The smallest size without witnesses; 64 bytes could be a node of a Merkle tree.
pub(crate) const STRIPPED_SIZE_MIN: usize = 65;
/// The most that signature operations of a standard transaction may cost.
pub(crate) const SIGOP_COST_MAX: usize = crate::rules::SIGOP_COST_MAX / 5;
/// Weight units that one unit of signature operation cost stands for.
pub(crate) const WEIGHT_PER_SIGOP_COST: usize = 20;
const SCRIPT_SIG_SIZE_MAX: usize = 1_650;
const P2SH_SIGOPS_MAX: usize = 15;
const LEGACY_SIGOPS_MAX: usize = 2_500;
const DUST_OUTPUTS_MAX: usize = 1;
const WITNESS_SCRIPT_SIZE_MAX: usize = 3_600;
const WITNESS_ITEMS_MAX: usize = 100;
const WITNESS_ITEM_SIZE_MAX: usize = 80;
const ANNEX_TAG: u8 = 0x50;
const TAPSCRIPT_LEAF: u8 = 0xc0;
const LEAF_VERSION_MASK: u8 = 0xfe;

impl Policy {
    /// Asks that a transaction is of a usual form (Bitcoin Core `IsStandardTx`).
    pub(crate) fn check_standard(&self, transaction: &Transaction) -> Result<(), Reason> {
        let fail = |word| Err(Reason::new(word));
        if !(1..=3).contains(&transaction.version()) {
            return fail("version");
        }
        if transaction.weight() > WEIGHT_MAX {
            return fail("tx-size");
        }
        for input in transaction.inputs() {
            if input.script_sig.len() > SCRIPT_SIG_SIZE_MAX {
                return fail("scriptsig-size");
            }
            if !input.script_sig.is_push_only() {
                return fail("scriptsig-not-pushonly");
            }
        }
        let mut data_left = self.datacarrier_bytes_max.unwrap_or(0);
        for output in transaction.outputs() {
            match classify(output.script_pubkey.as_bytes()) {
                Template::NonStandard => return fail("scriptpubkey"),
                Template::Multisig { required, keys } => {
                    if !(1..=3).contains(&keys.len()) || usize::from(required) > keys.len() {
                        return fail("scriptpubkey");
                    }
                    if !self.permit_bare_multisig {
                        return fail("bare-multisig");
                    }
                }
                Template::NullData => match data_left.checked_sub(output.script_pubkey.len()) {
                    Some(left) => data_left = left,
                    None => return fail("datacarrier"),
                },
                _ => {}
            }
        }
        if self.dust(transaction).count() > DUST_OUTPUTS_MAX {
            return fail("dust");
        }
        Ok(())
    }

    /// Which outputs cost more to spend than they are worth.
    pub(crate) fn dust(&self, transaction: &Transaction) -> impl Iterator<Item = u32> {
        let outputs = (0_u32..).zip(transaction.outputs());
        outputs.filter(|(_, output)| output.value < self.dust_threshold(output)).map(|(index, _)| index)
    }

    /// The smallest amount of this output that is not dust (Bitcoin Core `GetDustThreshold`).
    pub fn dust_threshold(&self, output: &TxOut) -> Amount {
        const OUTPOINT_AND_SEQUENCE: usize = 32 + 4 + 1 + 4;
        const UNLOCK: usize = 107;
        if output.script_pubkey.is_unspendable() {
            return Amount::ZERO;
        }
        let is_witness = witness_program(output.script_pubkey.as_bytes()).is_some();
        let unlock = if is_witness { UNLOCK / WITNESS_SCALE_FACTOR } else { UNLOCK };
        self.dust_fee.fee(output.encoded_length() + OUTPOINT_AND_SEQUENCE + unlock)
    }
}

/// Asks that the outputs spent are of usual forms (Bitcoin Core `ValidateInputsStandardness`).
pub(crate) fn check_inputs(transaction: &Transaction, coins: &[Coin]) -> Result<(), Reason> {
    const WORD: &str = "bad-txns-nonstandard-inputs";
    let mut sigops = 0;
    for (input, coin) in transaction.inputs().iter().zip(coins) {
        let script_pubkey = coin.output.script_pubkey.as_bytes();
        sigops += legacy_sigops(input.script_sig.as_bytes(), true);
        sigops += if coin.output.script_pubkey.is_p2sh() {
            crate::script::p2sh_sigops(input.script_sig.as_bytes(), script_pubkey)
        } else {
            legacy_sigops(script_pubkey, true)
        };
    }
    if sigops > LEGACY_SIGOPS_MAX {
        return Err(Reason::with(WORD, "non-witness sigops exceed bip54 limit"));
    }
    for (index, (input, coin)) in transaction.inputs().iter().zip(coins).enumerate() {
        let detail = match classify(coin.output.script_pubkey.as_bytes()) {
            Template::NonStandard => Some(format!("input {index} script unknown")),
            Template::WitnessUnknown { .. } => Some(format!("input {index} witness program is undefined")),
            Template::ScriptHash(_) => redeem_script_problem(index, input),
            _ => None,
        };
        if let Some(detail) = detail {
            return Err(Reason::with(WORD, detail));
        }
    }
    Ok(())
}

fn redeem_script_problem(index: usize, input: &TxIn) -> Option<String> {
    let script = match redeem_script(input) {
        Err(error) => return Some(format!("p2sh scriptsig malformed (input {index}: {error})")),
        Ok(None) => return Some(format!("input {index} P2SH redeemscript missing")),
        Ok(Some(script)) => script,
    };
    let count = legacy_sigops(&script, true);
    (count > P2SH_SIGOPS_MAX).then(|| {
        format!("p2sh redeemscript sigops exceed limit (input {index}: {count} > {P2SH_SIGOPS_MAX})")
    })
}

/// Nobody to ask: scripts that only push never do.
struct NoChecker;

impl crate::script::SignatureChecker for NoChecker {
    fn ecdsa_sighash(&self, _: u8, _: &[u8], _: crate::script::SigVersion) -> [u8; 32] {
        [0; 32]
    }

    fn schnorr_sighash(&self, _: u8, _: &crate::script::TaprootSpend) -> Option<[u8; 32]> {
        None
    }

    fn verify_ecdsa(&self, _: &[u8], _: &[u8], _: &[u8; 32]) -> bool {
        false
    }

    fn verify_schnorr(&self, _: &[u8; 64], _: &[u8; 32], _: &[u8; 32]) -> bool {
        false
    }

    fn check_lock_time(&self, _: i64) -> bool {
        false
    }

    fn check_sequence(&self, _: i64) -> bool {
        false
    }
}

/// What an input's script leaves on top of the stack.
fn redeem_script(input: &TxIn) -> Result<Option<Vec<u8>>, crate::script::ScriptError> {
    let mut stack: Vec<Item<'_>> = Vec::new();
    evaluate(&mut stack, input.script_sig.as_bytes(), Flags::NONE, &NoChecker, false)?;
    Ok(stack.last().map(|top| top.as_bytes().to_vec()))
}

/// Whether witnesses are of usual forms (Bitcoin Core `IsWitnessStandard`).
pub(crate) fn is_witness_standard(transaction: &Transaction, coins: &[Coin]) -> bool {
    transaction
        .inputs()
        .iter()
        .zip(coins)
        .filter(|(input, _)| !input.witness.is_empty())
        .all(|(input, coin)| is_input_witness_standard(input, coin))
}

fn is_input_witness_standard(input: &TxIn, coin: &Coin) -> bool {
    let script_pubkey = &coin.output.script_pubkey;
    if matches!(classify(script_pubkey.as_bytes()), Template::Anchor) {
        return false;
    }
    let is_p2sh = script_pubkey.is_p2sh();
    let script = if is_p2sh {
        match redeem_script(input) {
            Ok(Some(script)) => script,
            Ok(None) | Err(_) => return false,
        }
    } else {
        script_pubkey.as_bytes().to_vec()
    };
    match witness_program(&script) {
        None => false,
        Some((0, program)) if program.len() == 32 => is_script_witness_standard(input),
        Some((1, program)) if program.len() == 32 && !is_p2sh => is_taproot_witness_standard(input),
        Some(_) => true,
    }
}

fn is_script_witness_standard(input: &TxIn) -> bool {
    let script = input.witness.last().unwrap_or_default();
    let items = input.witness.len() - 1;
    script.len() <= WITNESS_SCRIPT_SIZE_MAX
        && items <= WITNESS_ITEMS_MAX
        && input.witness.iter().take(items).all(|item| item.len() <= WITNESS_ITEM_SIZE_MAX)
}

fn is_taproot_witness_standard(input: &TxIn) -> bool {
    let stack: Vec<&[u8]> = input.witness.iter().collect();
    match stack.as_slice() {
        [_, .., [ANNEX_TAG, ..]] | [] | [_, _, .., []] | [_, []] => false,
        [arguments @ .., _, control] => {
            control[0] & LEAF_VERSION_MASK != TAPSCRIPT_LEAF
                || arguments.iter().all(|item| item.len() <= WITNESS_ITEM_SIZE_MAX)
        }
        [_] => true,
    }
}

/// Whether any output spent runs a witness, so that failing without one may be a stripped witness (Bitcoin Core
/// `SpendsNonAnchorWitnessProg`).
pub(crate) fn spends_witness_programs(transaction: &Transaction, coins: &[Coin]) -> bool {
    transaction.inputs().iter().zip(coins).any(|(input, coin)| {
        let script_pubkey = coin.output.script_pubkey.as_bytes();
        let direct = witness_program(script_pubkey).is_some();
        let is_anchor = matches!(classify(script_pubkey), Template::Anchor);
        let nested = coin.output.script_pubkey.is_p2sh()
            && matches!(redeem_script(input), Ok(Some(script)) if witness_program(&script).is_some());
        (direct && !is_anchor) || nested
    })
}
